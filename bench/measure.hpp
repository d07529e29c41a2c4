// What one repetition of a workload yields, and the clocks and counters it is read from.
//
// Invariant: a repetition reads both clocks round the whole of its work and nothing else, so that
// the parent may choose either clock later without a second run. Times are seconds, sizes bytes.
// Used inside the measuring child only; any thread of it may call.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>

namespace treadle::bench {

/// One repetition: what it did and what it took. `bytes` is set by the memory workload only, the
/// lateness, in seconds, by the sleepers only, the longest wait for a lock by mutex_64_* only, what
/// another loop takes by parallel_for (a serial one) and rcu_read (an empty one) only; what a
/// request took beyond its longest timer by `mixed` of the peers only; the unit f by the parent,
/// when it has put repetitions beside each other.
struct repetition {
  double operations = 0;
  double cpu_seconds = 0;
  double wall_seconds = 0;
  double bytes = 0;
  double median_late = 0;
  double worst_late = 0;
  double serial_seconds = 0;
  double longest_wait = 0;
  double beyond_median = 0;
  double beyond_p99 = 0;
  double f_nanoseconds = 0;
};

inline double read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Started when made; stop() gives the repetition. The process clock counts every kernel thread of
/// the child, so a runtime cannot hide work in another thread.
class stopwatch {
 public:
  stopwatch() : wall_(read_clock(CLOCK_MONOTONIC)), cpu_(read_clock(CLOCK_PROCESS_CPUTIME_ID)) {}

  [[nodiscard]] repetition stop(double operations) const {
    const double cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
    const double wall = read_clock(CLOCK_MONOTONIC) - wall_;
    return {.operations = operations, .cpu_seconds = cpu, .wall_seconds = wall};
  }

 private:
  double wall_;
  double cpu_;
};

/// A chain of multiplications in which each waits for the one before: the length of a critical
/// section, in turns. Volatile, so that no compiler shortens it; it touches no memory. The loop is
/// assembly as a whole, for its place: one that crossed a line of the cache took 1.13 times as long
/// as the one that it was calibrated by. Begins with `value` and gives what becomes of it: where
/// each section goes on with the value of the one before, out of what the lock guards, the CPU
/// cannot begin one before the last has ended, as it did by 8 % of 100 ns.
[[gnu::always_inline]] inline std::uint64_t spend(std::uint64_t turns, std::uint64_t value = 1) {
  if (turns == 0) return value;
  asm volatile(
      ".p2align 6\n"
      "1: imul $3, %0, %0\n"
      "sub $1, %1\n"
      "jnz 1b"
      : "+r"(value), "+r"(turns)
      :
      : "cc");
  return value;
}

/// How many turns of spend() last `nanoseconds` on this CPU now.
std::uint64_t turns_lasting(double nanoseconds);

/// VmRSS + VmPTE of this process: the pages of its threads and the page tables that map them.
double resident_bytes();

}  // namespace treadle::bench
