// rcu: readers never block, whatever writers do, and cost the same however many they are.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <exception>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/latch.hpp"
#include "treadle/rcu.hpp"
#include "treadle/shared_mutex.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// Reads in a row: long against the clock that is read around them.
constexpr int reads_at_once = 10'000;

// "The same" for a difference of two times of some nanoseconds: twice, and half a nanosecond, which
// is what two runs of one loop differ by when caches and neighbours do.
constexpr double flat_factor = 2;
constexpr double flat_slack = 0.5;

// How long a reader is parked inside its section, and how late that may be noticed: the writer's
// longest break between two looks, and the kernel's wake-up.
constexpr std::int64_t parked_nanoseconds = 20'000'000;

// What readers and writers share: two versions that are never freed, so that the empty loop may
// read them, too.
struct shared_data {
  struct alignas(128) version {
    long value;
  };
  std::array<version, 2> versions{{{1}, {2}}};
  base::atomic<const version*> now{&versions[0]};

  void replace(unsigned turn) {
    now.store(&versions[turn % 2], base::release);  // pairs with read()
  }
  [[gnu::always_inline]] void read(long& sum) const {
    sum += now.load(base::acquire)->value;  // pairs with replace()
    asm volatile("" : "+r"(sum));
  }
};

struct by_sections {
  [[gnu::always_inline]] void begin() { rcu_default_domain().lock(); }
  [[gnu::always_inline]] void end() { rcu_default_domain().unlock(); }
  void write(shared_data& data, unsigned turn) {
    data.replace(turn);
    rcu_synchronize();
  }
};

struct by_lock {
  shared_mutex lock;
  void begin() { lock.lock_shared(); }
  void end() { lock.unlock_shared(); }
  void write(shared_data& data, unsigned turn) {
    lock.lock();
    data.replace(turn);
    lock.unlock();
  }
};

double own_cpu_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec * base::nanoseconds_per_second + time.tv_nsec);
}

// CPU time of a read over that of the same loop without protection; each takes turns with the
// other, so that both meet the same caches and interrupts.
template <class Guard>
double time_of_reader(shared_data& data, Guard& guard, std::int64_t until) {
  double over = 0;
  double reads = 0;
  long sum = 0;
  while (base::monotonic_now() < until) {
    const double start = own_cpu_time();
    for (int i = 0; i < reads_at_once; ++i) data.read(sum);
    const double between = own_cpu_time();
    for (int i = 0; i < reads_at_once; ++i) {
      guard.begin();
      data.read(sum);
      guard.end();
    }
    over += (own_cpu_time() - between) - (between - start);
    reads += reads_at_once;
    this_thread::yield();
  }
  return over / reads;
}

template <class Guard>
sample cost_of_read(lab_context& lab, unsigned readers, bool with_writer) {
  runtime own{{.model = lab.model()}};
  return own.run([&] {
    return repeat(lab.repetitions(), [&] {
      shared_data data;
      Guard guard;
      base::atomic<bool> over{false};
      thread writer;
      if (with_writer) {
        writer = thread([&] {
          for (unsigned turn = 1; !over.load(base::acquire); ++turn) {  // pairs with the end
            guard.write(data, turn);
            this_thread::yield();
          }
        });
      }
      const std::int64_t until = base::monotonic_now() + lab.span().count();
      std::vector<double> costs(readers);
      std::vector<thread> threads;
      for (double& mine : costs) {
        threads.emplace_back([&] { mine = time_of_reader(data, guard, until); });
      }
      for (thread& each : threads) each.join();
      over.store(true, base::release);  // pairs with the writer's loop
      if (writer.joinable()) writer.join();
      return summarise(costs).median;
    });
  });
}

// The least that is shown as measured: a difference of two loops may come out below nothing.
sample not_below_zero(const sample& from) {
  return map(from, [](double value) { return std::max(value, 0.0); });
}

void cost_rows(lab_context& lab) {
  const unsigned many = std::max(2U, lab.processors());
  const auto subject_of = [&](const std::string& what) {
    return lab.of(what, "ns", "cost", fmt::format("{} {}", lab.model_name(), what));
  };
  const double pair = atomic_pair(lab).median;
  const sample alone = not_below_zero(cost_of_read<by_sections>(lab, 1, false));
  lab.report(judge(subject_of("a read section, one reader"),
                   at_most(pair, 1, "a compare-and-swap and an exchange: no atomic operation"),
                   alone, "over the same loop without it"));
  const auto flat = [&](const char* why) {
    return at_most(alone.median, flat_factor, why, flat_slack);
  };
  lab.report(judge(subject_of(fmt::format("the same, {} readers", many)), flat("one reader's"),
                   not_below_zero(cost_of_read<by_sections>(lab, many, false))));
  const sample beside = not_below_zero(cost_of_read<by_sections>(lab, many, true));
  lab.report(judge(subject_of(fmt::format("the same, {} readers and a writer", many)),
                   flat("one reader's, without a writer"), beside));
  lab.report(judge(subject_of(fmt::format("shared_mutex, {} readers and a writer", many)),
                   at_least(beside.median, 1, "the read section's: a lock is written to"),
                   not_below_zero(cost_of_read<by_lock>(lab, many, true))));
}

// The writer waits for the reader, and nobody else waits for either.
void parked_rows(lab_context& lab) {
  runtime own{{.model = lab.model()}};
  double others = 0;
  const sample waited = own.run([&] {
    return repeat(3, [&] {
      latch inside(1);
      base::atomic<bool> over{false};
      thread reader([&] {
        rcu_default_domain().lock();
        inside.count_down();
        this_thread::sleep_for(std::chrono::nanoseconds(parked_nanoseconds));
        rcu_default_domain().unlock();
      });
      inside.wait();
      thread other([&] {
        double sections = 0;
        while (!over.load(base::acquire)) {  // pairs with the end
          rcu_default_domain().lock();
          rcu_default_domain().unlock();
          ++sections;
          this_thread::yield();
        }
        others = sections;
      });
      const std::int64_t start = base::monotonic_now();
      rcu_synchronize();
      const auto took = static_cast<double>(base::monotonic_now() - start);
      over.store(true, base::release);  // pairs with the other's loop
      other.join();
      reader.join();
      return took;
    });
  });
  const auto length = static_cast<double>(parked_nanoseconds);
  lab.report_shared(judge(lab.of("grace period beside a reader parked for 20 ms", "ns"),
                          about(length, 1.25, "as long as the reader stays in its section"),
                          waited));
  lab.report(judge(lab.of("read sections of another thread meanwhile", "sections"),
                   at_least(100, 1, "it goes on: a hundred is read as that"),
                   sample::once(others)));
}

void run(lab_context& lab) {
  lab.attempt("a read section", cost_rows);
  lab.progress("parked reader");
  lab.attempt("grace period beside a parked reader", parked_rows);
}

}  // namespace

const experiment rcu{
    .id = "rcu",
    .title = "Readers that wait for nobody",
    .claim =
        "Readers of data under read-copy-update never block and cost the same however many they "
        "are; the writer copies, switches, and waits for those who may still see the old version.",
    .method =
        "Threads read a pointer and what it points to, in read sections and without, in turns; the "
        "difference is the section's price. Then a writer replaces it all the time and waits for a "
        "grace period each time; the same with a shared_mutex. Then a reader sleeps inside a "
        "section.",
    .look =
        "The bars of read sections are equally low for one reader, many, and many beside a writer. "
        "The shared mutex's readers pay for their lock and wait for the writer.",
    .plots = {{.key = "cost",
               .title = "One read, over the same loop without protection",
               .unit = "ns",
               .logarithmic = false}},
    .run = run};

}  // namespace treadle::lab
