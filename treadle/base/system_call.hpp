// The few memory and thread calls of libc that the runtime makes, wrapped so that a test can make
// the n-th of them fail.
//
// Invariants: every wrapper returns its error as a number (0 is success) and leaves errno as it
// found it, because errno belongs to the treadle thread that happens to be running. A call that a
// test told to fail never reaches the kernel, so it has no effect that would have to be undone.
//
// Who may call: any room, from any kernel thread. Nothing here allocates or locks.
//
// Faults are set by fail_nth() or fail_from(), or, for tests of whole programs, by the environment
// variable TREADLE_FAULT, which is read once, at the first wrapped call:
//     TREADLE_FAULT="mmap:3,madvise:1+:EINVAL"
// a list of call:n or call:n+ with an optional error, where n+ means the n-th and all after it.
// This variable is for tests only.
//
// Rejected: a table of function pointers that tests replace (the nth failure would then be written
// anew in every test), LD_PRELOAD (cannot be used inside one test program).
#pragma once

#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace treadle::base {

enum class faulty_call {
  mmap,
  madvise,
  mprotect,
  thread_create,
  io_uring_setup,
  epoll_create,
  epoll_ctl,
  eventfd,
  membarrier,
  perf_event_open,
  close_range,   // with CLOSE_RANGE_UNSHARE
  idle_class,    // sched_setscheduler(SCHED_IDLE)
  task_syscall,  // open() of /proc/self/task/T/syscall
  timer_create,
  set_urgency,  // setpriority() and sched_setscheduler() for a thread's level
  count
};

// Makes the nth call from now on fail with `error`, once; nth == 0 switches the fault off. Resets
// calls_made() of that call to zero.
void fail_nth(faulty_call call, std::uint64_t nth, int error) noexcept;

// The same, but the nth call and all calls after it fail.
void fail_from(faulty_call call, std::uint64_t nth, int error) noexcept;

// Calls made since the last fail_nth() or fail_from(), the failed ones included.
[[nodiscard]] std::uint64_t calls_made(faulty_call call) noexcept;

// What TREADLE_FAULT does at the first call. False, and one line on stderr, when `text` is
// malformed; the faults before the malformed one are then set.
bool set_faults(const char* text) noexcept;

// For wrappers elsewhere: the error that this call has to report instead of going to the kernel,
// or 0.
[[nodiscard]] int injected_fault(faulty_call call) noexcept;

struct mapping_result {
  void* address;  // nullptr when error is not 0
  int error;
};

[[nodiscard]] mapping_result map_memory(void* wanted, std::size_t bytes, int protection,
                                        int flags) noexcept;
// No test can make this one fail: it is what the failure paths themselves call.
int unmap_memory(void* address, std::size_t bytes) noexcept;
[[nodiscard]] int protect_memory(void* address, std::size_t bytes, int protection) noexcept;
[[nodiscard]] int advise_memory(void* address, std::size_t bytes, int advice) noexcept;

struct batch_result {
  std::size_t done;  // how many of the ranges, from the first, were advised
  int error;         // why the next one was not, or 0 when all were
};

// Advises many ranges with as few system calls as the kernel allows: process_madvise() upon the
// own process costs 250 ns a guard and 300 ns a trimmed stack where madvise() for each costs 430
// and 1300 (measured, batches of 64, Linux 6.18). Every range counts as one madvise for fail_nth().
[[nodiscard]] batch_result advise_batch(const iovec* ranges, std::size_t count,
                                        int advice) noexcept;

[[nodiscard]] int create_kernel_thread(pthread_t* thread, const pthread_attr_t* attributes,
                                       void* (*body)(void*), void* argument) noexcept;

// io_uring's three calls. What enter_ring() and register_ring() return is a negative errno on
// failure.
[[nodiscard]] int set_up_ring(unsigned entries, io_uring_params* wanted, int* descriptor) noexcept;
[[nodiscard]] int enter_ring(int ring, unsigned submit, unsigned wait, unsigned flags) noexcept;
// Waits for one completion, for so long at most.
[[nodiscard]] int enter_ring_for(int ring, unsigned submit, std::int64_t nanoseconds) noexcept;
[[nodiscard]] int register_ring(int ring, unsigned what, void* with, unsigned count) noexcept;
struct descriptor_result {
  int descriptor;  // -1 when error is not 0
  int error;
};

// All are closed on exec; the eventfd does not block.
[[nodiscard]] descriptor_result create_epoll() noexcept;
[[nodiscard]] descriptor_result create_eventfd() noexcept;
// The same open file under a high number, where a program that counts its descriptors from 0 does
// not come soon. -1 when there is no such number; `number` stays open either way.
[[nodiscard]] int duplicate_high(int number) noexcept;
// Gives the calling kernel thread, and those that it makes from now on, a table of descriptors of
// their own, which is empty (and has the three standard ones where a sanitizer may have to write).
// 0 or an errno, and then nothing has changed. Of TSan unseen: numbers of that table are for bare
// system calls.
[[nodiscard]] int leave_descriptors() noexcept;
[[nodiscard]] int control_epoll(int epoll, int operation, int descriptor,
                                epoll_event* event) noexcept;

// The size of a page, asked for once.
[[nodiscard]] std::size_t page_bytes() noexcept;

}  // namespace treadle::base
