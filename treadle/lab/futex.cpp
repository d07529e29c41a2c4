// futex: an uncontended lock makes no system call, a contended one does; futex_wait freezes M:1.
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/probes.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/lab/system_call_count.hpp"
#include "treadle/lab/ticker.hpp"
#include "treadle/mutex.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

constexpr std::uint64_t free_locks = 100'000;
// Each round needs some hundred microseconds, so that the other thread surely sleeps.
constexpr std::uint64_t fought_locks = 100;
constexpr double round_nanoseconds = 300'000;

// A contended lock costs one futex call to wait and one to wake. A call may find that the lock was
// released meanwhile and be repeated: half as many again are let pass.
constexpr double calls_of_a_contended_lock = 2;
constexpr double calls_tolerance = 1.5;

// An owner is written and checked too; the sandwich of two atomics is the least there can be.
constexpr double pair_tolerance = 2;

void lock_freely(std::uint64_t count) {
  mutex free;
  for (std::uint64_t turn = 0; turn < count; ++turn) {
    free.lock();
    free.unlock();
  }
}

double locked_freely(std::uint64_t count) {
  const stopwatch watch(time_kind::cpu);
  lock_freely(count);
  return watch.nanoseconds();
}

// Holds the processor for a while and lets other threads of this runtime run, without a futex.
void give_way() {
  const stopwatch watch;
  while (watch.nanoseconds() < round_nanoseconds) {
    this_thread::yield();
    // 1:1 yields to nobody and must leave the CPU to the one that wakes up: a short sleep is a
    // system call, but no futex call.
    const timespec pause{0, 20'000};
    (void)::clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
  }
}

// One thread holds the lock, the other one comes and has to wait; then the first lets go.
void fight(std::uint64_t rounds) {
  mutex hot;
  base::atomic<std::uint64_t> held{0};  // rounds in which the first thread has the lock
  base::atomic<std::uint64_t> done{0};  // rounds that the second thread has finished
  thread second([&] {
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      // acquire/release here and below: the counters order the rounds, the lock does the rest
      while (held.load(base::acquire) < round) this_thread::yield();
      hot.lock();
      hot.unlock();
      done.store(round, base::release);
    }
  });
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    hot.lock();
    held.store(round, base::release);
    give_way();
    hot.unlock();
    while (done.load(base::acquire) < round) this_thread::yield();
  }
  second.join();
}

nlohmann::json run_counted(const nlohmann::json& request) {
  runtime own{{.model = parse_model(request.at("model").get<std::string>())}};
  const bool contended = request.at("contended").get<bool>();
  own.run([&] {
    // Once before the marks: whatever is set up at first use is no part of a lock.
    contended ? fight(2) : lock_freely(16);
    mark_start();
    contended ? fight(fought_locks) : lock_freely(free_locks);
    mark_end();
  });
  return nlohmann::json::object();
}

void call_rows(lab_context& lab) {
  const subject free_row = lab.of("system calls of an uncontended lock and unlock", "calls",
                                  "calls", fmt::format("{} uncontended", lab.model_name()));
  const subject fought_row = lab.of("futex calls of a contended lock and unlock", "calls", "calls",
                                    fmt::format("{} contended", lab.model_name()));
  try {
    const system_call_count free =
        count_system_calls("locks", {{"model", lab.model_name()}, {"contended", false}});
    lab.report(
        judge(free_row, at_most(0, 1, "no system call at all"),
              sample::once(static_cast<double>(free.by_marker) / static_cast<double>(free_locks)),
              fmt::format("{} calls in {} locks, counted by ptrace", free.by_marker, free_locks)));
    const system_call_count fought =
        count_system_calls("locks", {{"model", lab.model_name()}, {"contended", true}});
    const sample each =
        sample::once(static_cast<double>(fought.futex) / static_cast<double>(fought_locks));
    if (lab.model() == model::one_to_one) {
      lab.report(judge(
          fought_row,
          about(calls_of_a_contended_lock, calls_tolerance, "one futex_wait and one futex_wake"),
          each));
    } else {
      lab.report(judge(fought_row,
                       at_most(calls_of_a_contended_lock, calls_tolerance,
                               "the text's one futex_wait and one futex_wake"),
                       each, "Treadle parks the thread, so that the kernel need not be asked"));
    }
  } catch (const std::exception& error) {
    lab.report(not_run(free_row, error.what()));
    lab.report(not_run(fought_row, error.what()));
  }
}

void cost_row(lab_context& lab) {
  const sample least = atomic_pair(lab);
  runtime own{{.model = lab.model()}};
  const sample cost =
      own.run([&] { return cost_each(lab.repetitions(), lab.span(), 1000, locked_freely); });
  lab.report(judge(
      lab.of("uncontended lock and unlock", "ns", "cost", fmt::format("{}", lab.model_name())),
      at_most(least.median, pair_tolerance, "a compare-and-swap and an exchange on the same CPU"),
      cost));
}

void freeze_row(lab_context& lab) {
  const auto call = [&] {
    // Nobody wakes it: the wait ends by its time-out.
    std::uint32_t word = 0;
    const timespec limit{0, static_cast<long>(call_length(lab))};
    (void)::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, nullptr, 0);
  };
  const stall seen = measure_stall(lab, {}, call);
  lab.report_shared(judge(
      lab.of("longest gap beside futex_wait", "ns", "gap", fmt::format("{}", lab.model_name())),
      stall_prediction(lab.model(), seen.call), seen.longest,
      fmt::format("the call took {}", human(seen.call.median, "ns"))));
}

void run(lab_context& lab) {
  cost_row(lab);
  freeze_row(lab);
  lab.progress("counting system calls");
  call_rows(lab);
}

}  // namespace

const probe locks_probe{"locks", run_counted};

const experiment futex{
    .id = "futex",
    .title = "Locks and the kernel",
    .claim =
        "An uncontended lock is an atomic operation and no system call; a contended one waits "
        "and is woken by futex calls; and futex_wait in pure M:1 freezes all threads.",
    .method =
        "A process is run under ptrace, which stops at every system call, while it locks a "
        "treadle::mutex 100,000 times alone, and then 100 times while another thread waits "
        "for it. A ticking thread shows what a bare futex_wait does to the others.",
    .look =
        "Uncontended locks ask the kernel for nothing in any model. When there is a fight, 1:1 "
        "makes two calls; M:1 and M:N need none because only the user thread is parked.",
    .plots = {{.key = "calls", .title = "System calls of one lock", .unit = "calls"},
              {.key = "cost", .title = "Uncontended lock and unlock", .unit = "ns"},
              {.key = "gap", .title = "Longest gap beside futex_wait", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
