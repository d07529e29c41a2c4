// spin-and-block: a spin lock held across a blocking call, and somebody more urgent who spins.
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/probes.hpp"
#include "treadle/mutex.hpp"
#include "treadle/runtime.hpp"
#include "treadle/spinlock.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// How long the holder is blocked, and when the one who waits calls it a deadlock: it gives up then,
// so the lab goes on. Guess: 40 times as long, and beyond any slice.
constexpr std::int64_t blocked_nanoseconds = 5'000'000;
constexpr std::int64_t limit_nanoseconds = 200'000'000;

// The textbook's: spins and does nothing else.
class textbook_lock {
 public:
  bool try_lock() { return !held_.exchange(true, base::acquire); }  // pairs with unlock()
  void lock() {
    while (!try_lock()) {
    }
  }
  bool try_lock_until(std::int64_t end) {
    while (!try_lock()) {
      if (base::monotonic_now() > end) return false;
    }
    return true;
  }
  void unlock() { held_.store(false, base::release); }  // pairs with try_lock()

 private:
  base::atomic<bool> held_{false};
};

struct sleeping_lock {
  timed_mutex native;
  void lock() { native.lock(); }
  bool try_lock_until(std::int64_t end) {
    return native.try_lock_for(std::chrono::nanoseconds(end - base::monotonic_now()));
  }
  void unlock() { native.unlock(); }
};

// Treadle's own: after some pauses its waiter gives way.
struct runtime_spinlock {
  spinlock native;
  void lock() { native.lock(); }
  bool try_lock_until(std::int64_t end) {
    while (!native.try_lock()) {
      if (base::monotonic_now() > end) return false;
      this_thread::yield();
    }
    return true;
  }
  void unlock() { native.unlock(); }
};

// One thread takes the lock and blocks; another comes, and does not stop wanting it. Whether it got
// it. `hurry` is run by the second before it begins.
template <class Lock, class Hurry>
bool got_it(Hurry hurry) {
  Lock hot;
  base::atomic<bool> held{false};
  bool got = false;
  thread holder([&] {
    hot.lock();
    held.store(true, base::release);  // pairs with the loop below
    this_thread::sleep_for(std::chrono::nanoseconds(blocked_nanoseconds));
    hot.unlock();
  });
  thread other([&] {
    while (!held.load(base::acquire)) this_thread::yield();  // pairs with the holder
    hurry();
    got = hot.try_lock_until(base::monotonic_now() + limit_nanoseconds);
    if (got) hot.unlock();
  });
  other.join();
  holder.join();
  return got;
}

runtime_options on_one_cpu(treadle::model of) {
  runtime_options wanted{.model = of};
  if (of == model::many_to_many) wanted.width = 1;
  return wanted;
}

template <class Lock, class Hurry>
sample part_got(lab_context& lab, Hurry hurry) {
  // Kernel threads made from here on stay on this CPU.
  const pinned here(allowed_cpus().front());
  runtime own{on_one_cpu(lab.model())};
  return own.run([&] { return repeat(3, [&] { return got_it<Lock>(hurry) ? 1.0 : 0.0; }); });
}

subject row_of(lab_context& lab, const char* what) {
  return lab.of(what, "of 1", "got", fmt::format("{}, {}", lab.model_name(), what));
}

const prediction& progress() {
  static const prediction made = at_least(1, 1, "progress: the waiter gets the lock");
  return made;
}

const prediction& deadlock() {
  static const prediction made =
      at_most(0, 1, "deadlock: the waiter never stops, so the holder never runs");
  return made;
}

// The kernel's strict priority, for 1:1: a thread of SCHED_FIFO gives way to no other kind.
bool become_urgent() {
  sched_param urgent{};
  urgent.sched_priority = 1;
  return ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &urgent) == 0;
}

bool may_become_urgent() {
  bool may = false;
  std::thread([&may] { may = become_urgent(); }).join();
  return may;
}

void textbook_rows(lab_context& lab) {
  const char* const what = "textbook spin lock, the holder blocks, one CPU";
  const std::string limit = "given up after " + human(static_cast<double>(limit_nanoseconds), "ns");
  const auto nothing = [] {};
  switch (lab.model()) {
    case model::many_to_one:
      // Whoever runs is the most urgent: nobody takes the processor from it.
      lab.report(
          judge(row_of(lab, what), deadlock(), part_got<textbook_lock>(lab, nothing), limit));
      return;
    case model::many_to_many: {
      const bool preempts = runtime{on_one_cpu(lab.model())}.activation().preempts;
      lab.report(judge(row_of(lab, what), preempts ? progress() : deadlock(),
                       part_got<textbook_lock>(lab, nothing),
                       preempts ? "no strict priority here: the spinner is preempted" : limit));
      return;
    }
    case model::one_to_one:
      break;
  }
  lab.report(judge(row_of(lab, what), progress(), part_got<textbook_lock>(lab, nothing),
                   "the kernel's normal class: the spinner's slice ends"));
  const char* const strict = "textbook spin lock, the spinner under SCHED_FIFO, one CPU";
  if (!may_become_urgent()) {
    lab.report(not_run(row_of(lab, strict), deadlock(), "the kernel refuses SCHED_FIFO"));
    return;
  }
  const auto hurry = [] { static_cast<void>(become_urgent()); };
  lab.report(judge(row_of(lab, strict), deadlock(), part_got<textbook_lock>(lab, hurry), limit));
}

void sleeping_rows(lab_context& lab) {
  lab.report(judge(row_of(lab, "timed_mutex, the same"), progress(),
                   part_got<sleeping_lock>(lab, [] {}),
                   "the waiter is parked, and the holder gets its CPU back"));
}

nlohmann::json run_spinlock(const nlohmann::json& request) {
  const pinned here(allowed_cpus().front());
  runtime own{on_one_cpu(parse_model(request.at("model").get<std::string>()))};
  return {{"got", own.run([] { return got_it<runtime_spinlock>([] {}) ? 1.0 : 0.0; })}};
}

// In a build with assertions the runtime ends the program, which says so; else its spinlock gives
// way.
void spinlock_row(lab_context& lab) {
  const subject row = row_of(lab, "treadle::spinlock, the same");
  try {
    const nlohmann::json answer = lab.run_probe("spin-and-block", {{"model", lab.model_name()}});
    lab.report(judge(row, progress(), sample::once(answer.at("got").get<double>()),
                     "its waiter gives way to the holder"));
  } catch (const std::exception& error) {
    const bool found = std::strstr(error.what(), "holds a spinlock") != nullptr;
    if (!found) throw;
    lab.report(
        not_run(row, progress(),
                fmt::format("the runtime found it and ended the program: {}", error.what())));
  }
}

void run(lab_context& lab) {
  lab.attempt("textbook spin lock", textbook_rows);
  lab.attempt("timed_mutex", sleeping_rows);
  lab.attempt("treadle::spinlock", spinlock_row);
}

}  // namespace

const probe spin_probe{"spin-and-block", run_spinlock};

const experiment spin_and_block{
    .id = "spin-and-block",
    .title = "Spinning for somebody who sleeps",
    .claim =
        "A spin lock held across a blocking call deadlocks one CPU under strict priority: the "
        "spinner never stops and the holder never runs. A lock that sleeps does not.",
    .method =
        "On one CPU a thread takes a lock and sleeps for 5 ms; another one comes meanwhile and "
        "tries for 200 ms to get it: with the textbook's spin lock, a lock that parks, and "
        "treadle::spinlock. In 1:1 the spinner is given SCHED_FIFO where that is allowed.",
    .look =
        "1 is progress, 0 a deadlock that the lab ended. M:1 has strict priority by nature: "
        "whoever runs goes on. M:N preempts the spinner, and the kernel does so in 1:1 unless it "
        "is told not to. Locks that park are safe everywhere.",
    .plots = {{.key = "got", .title = "Waiters that got the lock", .unit = "of 1"}},
    .run = run};

}  // namespace treadle::lab
