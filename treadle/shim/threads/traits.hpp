// What the kernel would keep for a kernel thread, and people can see of a thread: its name, its
// scheduling class and priority, its nice value, the CPUs that it may use.
//
// A program thread has no kernel thread of its own, so they change nothing but what is answered:
// they are checked as the kernel checks them, kept, inherited by new threads and read back, also
// by other threads of the program. Threads of a process that had them before its first new thread
// (a nice value, a set of CPUs) run with them, as all kernel threads of it do.
// Rejected: to give them to whichever kernel thread the caller is on (it would keep them when
// others run there); CPUs as a hint to the scheduler (its processors are not bound to CPUs).
#pragma once

#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

struct program_thread;

// Guarded by the book's lock.
struct thread_traits {
  static constexpr unsigned cpu_words = 16;  // sourced: glibc's cpu_set_t has 1024 bits

  char name[16] = {};  // sourced: TASK_COMM_LEN
  int policy = 0;      // SCHED_*, perhaps with SCHED_RESET_ON_FORK
  int priority = 0;
  int nice = 0;
  std::uint64_t cpus[cpu_words] = {};
};

// What a thread that `parent` makes begins with.
thread_traits inherited(const thread_traits& parent) noexcept;

// Of the calling kernel thread, from the kernel.
void learn_traits(thread_traits& of) noexcept;

// In a child that `parent` has forked: what was kept for the parent the kernel keeps for the child.
// Only what differs from what the kernel thread that forked had.
void give_traits_to_child(const thread_traits& parent) noexcept;

// sched_*.
long serve_scheduling(saved_call& call) noexcept;
// getpriority, setpriority.
long serve_niceness(saved_call& call) noexcept;

// prctl(PR_SET_NAME), prctl(PR_GET_NAME).
long serve_set_name(saved_call& call) noexcept;
long serve_get_name(saved_call& call) noexcept;
// With the book's lock held; at most 15 bytes of `text` count.
void rename(program_thread& which, const char* text, std::size_t bytes) noexcept;

}  // namespace treadle::shim
