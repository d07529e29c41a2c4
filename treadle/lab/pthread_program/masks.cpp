// What a switch costs while the threads' signal masks are equal and while they differ, and whether
// each thread has its own.
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <ctime>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/pthread_program/parts.hpp"

namespace treadle::lab::pthread_program {
namespace {

double nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}
double cpu_nanoseconds() { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }
double wall_nanoseconds() { return nanoseconds(CLOCK_MONOTONIC); }

double kernel_switches() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_nvcsw + used.ru_nivcsw);
}

sigset_t set_of(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

struct yielder {
  bool blocks = false;  // has a mask that the other one has not
  double until = 0;     // of the process's CPU time
  double at_latest = 0;
  std::uint64_t yields = 0;
};

// Reading the CPU time is a system call: once for so many yields it does not count.
constexpr int yields_at_once = 1000;
// Reading the time is none. Beside a program that computes each yield gives that one a slice of
// 3 ms: after so many it is looked whether it takes too long.
constexpr int yields_between_looks = 50;
// Guess: so often the time that it takes alone. Beside others less CPU time is measured.
constexpr double wall_times = 20;

void* yield_until(void* argument) {
  auto& mine = *static_cast<yielder*>(argument);
  if (mine.blocks) {
    const sigset_t set = set_of(SIGUSR1);
    must(pthread_sigmask(SIG_BLOCK, &set, nullptr), "pthread_sigmask");
  }
  while (cpu_nanoseconds() < mine.until) {
    for (int turn = 0; turn < yields_at_once / yields_between_looks; ++turn) {
      for (int yield = 0; yield < yields_between_looks; ++yield) sched_yield();
      mine.yields += yields_between_looks;
      if (wall_nanoseconds() > mine.at_latest) return nullptr;
    }
  }
  return nullptr;
}

// All on one CPU: where threads are kernel threads, a yield then is a switch. The one that we are
// on, which the kernel chose as the least busy.
void stay_on_one_cpu() {
  const int cpu = sched_getcpu();
  if (cpu < 0) give_up("sched_getcpu", errno);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  must(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
}

void measure(const char* name, bool differ, long milliseconds) {
  const double switches = kernel_switches();
  const double begin = cpu_nanoseconds();
  const double wall_begin = wall_nanoseconds();
  yielder both[2];
  pthread_t threads[2];
  for (int index = 0; index < 2; ++index) {
    both[index].until = begin + static_cast<double>(milliseconds) * 1e6;
    both[index].at_latest = wall_begin + wall_times * static_cast<double>(milliseconds) * 1e6;
    both[index].blocks = differ && index == 1;
    threads[index] = start(yield_until, &both[index]);
  }
  for (const pthread_t each : threads) join(each);
  dprintf(3, "{\"%s\": {\"ns\": %.0f, \"yields\": %llu, \"kernel_switches\": %.0f}}\n", name,
          cpu_nanoseconds() - begin,
          static_cast<unsigned long long>(both[0].yields + both[1].yields),
          kernel_switches() - switches);
}

constexpr int checkers = 16;
constexpr int looks = 500;
base::atomic<long> wrong_masks{0};

// Thread i blocks the signal SIGRTMIN + i and no other.
void* look_at_own_mask(void* argument) {
  const int own = SIGRTMIN + static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
  sigset_t set = set_of(own);
  must(pthread_sigmask(SIG_SETMASK, &set, nullptr), "pthread_sigmask");
  for (int look = 0; look < looks; ++look) {
    sched_yield();
    must(pthread_sigmask(SIG_SETMASK, nullptr, &set), "pthread_sigmask");
    for (int signal = SIGRTMIN; signal < SIGRTMIN + checkers; ++signal) {
      // relaxed: read after the joins
      if ((sigismember(&set, signal) == 1) != (signal == own))
        wrong_masks.fetch_add(1, base::relaxed);
    }
  }
  return nullptr;
}

}  // namespace

void measure_masks(long milliseconds) {
  pthread_t threads[checkers];
  for (std::intptr_t index = 0; index < checkers; ++index) {
    threads[index] = start(look_at_own_mask, reinterpret_cast<void*>(index));
  }
  for (const pthread_t each : threads) join(each);
  dprintf(3, "{\"looks\": %d, \"wrong\": %ld}\n", checkers * looks,
          wrong_masks.load(base::relaxed));  // relaxed: after the joins
  stay_on_one_cpu();
  constexpr int repetitions = 3;
  for (int turn = 0; turn < repetitions; ++turn) {
    measure("equal", false, milliseconds);
    measure("differ", true, milliseconds);
  }
}

}  // namespace treadle::lab::pthread_program
