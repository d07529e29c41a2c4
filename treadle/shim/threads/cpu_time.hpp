// The CPU time of each program thread, for those who ask.
//
// The kernel counts for kernel threads, on which many program threads take turns. So each crossing
// of the door reads the kernel thread's clock, twice a call: 0.3 us each. That begins when somebody
// in the process first asks for the clock of a thread, and what was before is not known: clocks of
// threads begin at 0 then, that of the first one at what it had used before there were others.
// A thread's time is that on the program's side, and that of its calls in which nobody else ran on
// its kernel thread. A thread that is preempted, or whose kernel thread is, uses none: the kernel's
// clock stands still as well.
// Rejected: to count always (as much as the door itself costs); the time-stamp counter (it goes on
// while the kernel has others on the CPU).
#pragma once

#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

extern base::atomic<bool> counts_cpu_time;

// Of the leader, while it is still a kernel thread.
void learn_cpu_time(program_thread& leader) noexcept;

void count_until_call(program_thread& self) noexcept;
void count_from_return(program_thread& self, const seat& here) noexcept;

// By the door, on the runtime's side: at the beginning of a call, and before the program goes on.
inline void note_call(program_thread& self) noexcept {
  if (counts_cpu_time.load(base::relaxed)) [[unlikely]]  // relaxed: begins some time
    count_until_call(self);
}
inline void note_return(program_thread& self, const seat& here) noexcept {
  if (counts_cpu_time.load(base::relaxed)) [[unlikely]]  // relaxed: as above
    count_from_return(self, here);
}

// clock_gettime, clock_getres. The kernel's own of all but threads' clocks.
long serve_clock(saved_call& call) noexcept;

}  // namespace treadle::shim
