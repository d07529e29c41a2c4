// Measuring c_u, c_k, s_k, q, creation costs and the like.
#include "treadle/lab/base_quantities.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/base/futex.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/hand_off.hpp"
#include "treadle/lab/limits.hpp"
#include "treadle/lab/population.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

double yields_between_two(std::uint64_t switches) {
  bool stop = false;  // M:1: one kernel thread, so a plain variable is enough
  thread other([&stop] {
    while (!stop) this_thread::yield();
  });
  this_thread::yield();
  const stopwatch watch(time_kind::cpu);
  for (std::uint64_t turn = 0; turn < switches / 2; ++turn) this_thread::yield();
  const double took = watch.nanoseconds();
  stop = true;
  other.join();
  return took;
}

// Kernel threads on one CPU in a ring; each sleeps until its own word shows the lap, and then wakes
// the next. As many as fight for the lock in contended-lock: what the kernel's scheduler makes of a
// hand-off depends on how many threads there are.
double futex_passes(std::uint64_t passes) {
  struct alignas(128) seat {
    base::atomic<std::uint32_t> lap{0};
  };
  std::vector<seat> seats(ring_threads);
  const auto laps = static_cast<std::uint32_t>(passes / ring_threads);
  const int cpu = allowed_cpus().front();
  const auto play = [&](unsigned index) {
    const pinned hold(cpu);
    seat& mine = seats[index];
    seat& next = seats[(index + 1) % ring_threads];
    for (std::uint32_t lap = 1; lap <= laps; ++lap) {
      // acquire/release: the word is the hand-off; what was done before it is visible after it
      for (std::uint32_t now = mine.lap.load(base::acquire); now < lap;
           now = mine.lap.load(base::acquire)) {
        base::futex_wait(mine.lap, now);
      }
      next.lap.store(index + 1 < ring_threads ? lap : lap + 1, base::release);
      base::futex_wake(next.lap);
    }
  };
  seats.front().lap.store(1, base::relaxed);  // relaxed: the threads' start publishes it
  const stopwatch watch(time_kind::cpu);
  std::vector<thread> threads;
  for (unsigned index = 0; index < ring_threads; ++index) {
    threads.emplace_back([&play, index] { play(index); });
  }
  for (thread& each : threads) each.join();
  return watch.nanoseconds();
}

// Switches away from the calling kernel thread so far.
double switches_of_thread() {
  rusage use{};
  (void)::getrusage(RUSAGE_THREAD, &use);  // cannot fail: the argument is right
  return static_cast<double>(use.ru_nvcsw + use.ru_nivcsw);
}

struct shared_cpu {
  double nanoseconds = 0;
  double switches = 0;
};

// Guess: so often the time that something takes alone, it may take beside other programs. A yield
// beside one that computes gives that one a slice of 3 ms, and hardly uses CPU time itself.
constexpr double wall_times = 20;

// Runs `step` again and again on two kernel threads of one CPU until they have used `span`.
template <class Step>
shared_cpu two_on_one_cpu(std::chrono::nanoseconds span, Step step) {
  const int cpu = allowed_cpus().front();
  double switches[2] = {0, 0};
  const auto wanted = static_cast<double>(span.count());
  const stopwatch watch(time_kind::cpu);
  const stopwatch wall;
  const auto body = [&](double& count) {
    const pinned hold(cpu);
    const double before = switches_of_thread();
    while (watch.nanoseconds() < wanted && wall.nanoseconds() < wall_times * wanted) step();
    count = switches_of_thread() - before;
  };
  thread one([&] { body(switches[0]); });
  thread two([&] { body(switches[1]); });
  one.join();
  two.join();
  return {watch.nanoseconds(), switches[0] + switches[1]};
}

double created_one_by_one(time_kind clock, std::uint64_t count) {
  const stopwatch watch(clock);
  for (std::uint64_t turn = 0; turn < count; ++turn) thread([] {}).join();
  return watch.nanoseconds();
}

double created_in_bulk(treadle::model of, std::uint64_t count) {
  std::vector<thread> threads(count);
  const stopwatch watch(cost_clock(of));
  for (thread& each : threads) each = thread([] {});
  for (thread& each : threads) each.join();
  return watch.nanoseconds();
}

// Creation alone, in the creator's own CPU time.
double created_only(std::uint64_t count) {
  std::vector<thread> threads(count);
  timespec before{};
  timespec after{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  for (thread& each : threads) each = thread([] {});
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  for (thread& each : threads) each.join();
  return static_cast<double>(after.tv_sec - before.tv_sec) * 1e9 +
         static_cast<double>(after.tv_nsec - before.tv_nsec);
}

// Threads that exist at once: few enough for any machine's limits, many enough to time.
std::uint64_t bulk_count(treadle::model of) {
  if (of != model::one_to_one) return 10'000;
  return std::min<std::uint64_t>(1000, kernel_thread_room().threads);
}

template <class Measure>
sample in_runtime(treadle::model of, Measure&& measure) {
  runtime own{{.model = of}};
  return own.run(measure);
}

}  // namespace

sample user_switch(lab_context& lab) {
  return lab.quantity("c_u", [&] {
    return in_runtime(model::many_to_one, [&] {
      return cost_each(lab.repetitions(), lab.span(), 1000, yields_between_two);
    });
  });
}

sample kernel_switch(lab_context& lab) {
  return lab.quantity("c_k", [&] {
    return in_runtime(model::one_to_one,
                      [&] { return cost_each(lab.repetitions(), lab.span(), 1000, futex_passes); });
  });
}

sample kernel_yield(lab_context& lab) {
  return lab.quantity("s_k", [&] {
    return in_runtime(model::one_to_one, [&] {
      return repeat(lab.repetitions(), [&] {
        const shared_cpu done = two_on_one_cpu(lab.span(), [] {
          // 64 between two looks at the clock, as a look is a system call too.
          for (int turn = 0; turn < 64; ++turn) ::sched_yield();
        });
        return done.nanoseconds / done.switches;
      });
    });
  });
}

sample time_slice(lab_context& lab) {
  return lab.quantity("q", [&] {
    return in_runtime(model::one_to_one, [&] {
      return repeat(3, [&] {
        // Some tens of slices: Linux slices are 0.7 to 6 ms long.
        const auto span = std::chrono::milliseconds(lab.quick() ? 60 : 200);
        const shared_cpu done = two_on_one_cpu(span, [] { spin(1000); });
        return done.nanoseconds / (done.switches + 1);
      });
    });
  });
}

sample create_cost(lab_context& lab, treadle::model of) {
  return lab.quantity(fmt::format("create {}", to_string(of)), [&] {
    return in_runtime(of, [&] {
      // On one CPU, as c_k: otherwise the time to wake a sleeping CPU is most of what is measured.
      std::optional<pinned> hold;
      if (of == model::one_to_one) hold.emplace(allowed_cpus().front());
      return cost_each(lab.repetitions(), lab.span(), 64, [of](std::uint64_t count) {
        return created_one_by_one(cost_clock(of), count);
      });
    });
  });
}

sample create_cost_on_all_cpus(lab_context& lab) {
  return lab.quantity("create 1:1, all CPUs", [&] {
    return in_runtime(model::one_to_one, [&] {
      return cost_each(lab.repetitions(), lab.span(), 64, [](std::uint64_t count) {
        return created_one_by_one(time_kind::wall, count);
      });
    });
  });
}

sample bulk_create_cost(lab_context& lab, treadle::model of) {
  return lab.quantity(fmt::format("bulk create {}", to_string(of)), [&] {
    const std::uint64_t count = bulk_count(of);
    return in_runtime(of, [&] {
      (void)created_in_bulk(of, count);  // the first round maps the stacks
      return repeat(lab.repetitions(),
                    [&] { return created_in_bulk(of, count) / static_cast<double>(count); });
    });
  });
}

sample create_only_cost(lab_context& lab) {
  return lab.quantity("create alone 1:1", [&] {
    const std::uint64_t count = bulk_count(model::one_to_one);
    return in_runtime(model::one_to_one, [&] {
      (void)created_only(count);
      return repeat(lab.repetitions(),
                    [&] { return created_only(count) / static_cast<double>(count); });
    });
  });
}

sample kernel_bytes(lab_context& lab) {
  return lab.quantity("k_b", [&] {
    const std::uint64_t count = std::min<std::uint64_t>(2000, kernel_thread_room().threads);
    return repeat(3, [&] {
      const population grown = measure_population(
          lab, {.model = model::one_to_one, .threads = count, .stack_bytes = 64 * 1024});
      return kernel_side(grown.grown) / static_cast<double>(grown.created);
    });
  });
}

double spin_turn(lab_context& lab) {
  return lab.quantity("spin", [] { return sample::once(measure_spin_turn()); }).median;
}

std::uint64_t turns_lasting(lab_context& lab, double nanoseconds) {
  return static_cast<std::uint64_t>(std::llround(nanoseconds / spin_turn(lab)));
}

sample atomic_pair(lab_context& lab) {
  return lab.quantity("atomic pair", [&] {
    return cost_each(lab.repetitions(), lab.span(), 1000, [](std::uint64_t count) {
      base::atomic<std::uint32_t> word{0};
      const stopwatch watch(time_kind::cpu);
      for (std::uint64_t turn = 0; turn < count; ++turn) {
        std::uint32_t expected = 0;
        // The orders of a lock: acquire to take, release to give back. The unlock of a lock that
        // can have waiters is an exchange, as it must see them.
        (void)word.compare_exchange_strong(expected, 1, base::acquire, base::relaxed);
        (void)word.exchange(0, base::release);
      }
      return watch.nanoseconds();
    });
  });
}

}  // namespace treadle::lab
