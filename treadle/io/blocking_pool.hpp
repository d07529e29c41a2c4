// The blocking-call pool: a bounded number of kernel threads that make the calls which nothing
// else can make without blocking a worker: fsync, a library's own. Look-ups of names have another
// such pool (names.cpp), and so have calls that may wait for ever (interruptible.hpp).
//
// Kernel threads are made on demand and end after a while without work. Requests wait in one queue,
// first come, first served; its length shows in counters(). Each submitted request runs exactly
// once, unless it is withdrawn before; when the kernel refuses threads, those that exist run it,
// and if there are none, submit() itself does.
// After fork() the child has none of the kernel threads: as with the rest of the runtime, it should
// only exec or _exit.
// Rejected: a pool for each runtime (the number of kernel threads is the process's concern); a
// queue for each kernel thread (a short call then waits behind a long one while others are idle).
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::core {
struct thread;
}

namespace treadle::io {

// Guess: more calls at once than disks serve, few enough for every container's limit.
inline constexpr unsigned blocking_threads_default = 64;
// Guess: beyond it the kernel threads alone are a burden.
inline constexpr unsigned blocking_threads_max = 4096;

struct blocking_pool_counters {
  unsigned threads = 0;      // kernel threads that exist
  unsigned busy = 0;         // of those, in a call
  std::size_t queued = 0;    // calls that wait for one
  std::uint64_t done = 0;    // calls made since the start
  unsigned threads_max = 0;  // as many may exist
};

// Of the pool that the process has. All numbers are of one moment.
[[nodiscard]] blocking_pool_counters blocking_counters() noexcept;

// What the pool is given to do. The memory belongs to the submitter until run() is called, and from
// then on to run().
struct blocking_request {
  explicit blocking_request(void (*function)(blocking_request&) noexcept) noexcept
      : run(function) {}

  // Fixed after submit.
  void (*const run)(blocking_request&) noexcept;
  // Guarded by the pool's lock.
  blocking_request* next = nullptr;
  blocking_request* previous = nullptr;
  bool queued = false;
};

class blocking_pool {
 public:
  // Guess: longer than a program's pauses, short enough that an idle one soon has no threads.
  static constexpr std::int64_t idle_default = 5 * base::nanoseconds_per_second;

  explicit blocking_pool(unsigned threads_max,
                         std::int64_t idle_nanoseconds = idle_default) noexcept
      : threads_max_(threads_max), idle_nanoseconds_(idle_nanoseconds) {}
  // Waits for the requests that are in it. Blocks the kernel thread.
  ~blocking_pool();
  blocking_pool(const blocking_pool&) = delete;
  blocking_pool& operator=(const blocking_pool&) = delete;

  // The process's own, which is never destroyed.
  static blocking_pool& of_process() noexcept;

  // From any kernel thread. May make a kernel thread, which takes some 20 us.
  void submit(blocking_request& request) noexcept;
  // True: the request had not begun, never will, and is the caller's again.
  [[nodiscard]] bool withdraw(blocking_request& request) noexcept;

  // At least 1. Fewer than there are: the surplus ends, each after the call that it makes.
  void set_threads_max(unsigned threads_max) noexcept;
  [[nodiscard]] blocking_pool_counters counters() noexcept;

 private:
  // One for each kernel thread, on its stack.
  struct seat {
    core::thread* who = nullptr;
    seat* next = nullptr;  // guarded by the pool's lock
    base::atomic<bool> called{false};
  };

  static void* thread_main(void* pool);
  void work(seat& mine) noexcept;
  bool wait_for_work(seat& mine) noexcept;
  void add_thread() noexcept;
  void run_here() noexcept;
  void run_unlocked(blocking_request& request) noexcept;
  void push(blocking_request& request) noexcept;
  void remove(blocking_request& request) noexcept;
  void leave_idle(const seat& mine) noexcept;
  core::thread* pop_idle() noexcept;

  base::spin_lock lock_;
  // Guarded by lock_.
  blocking_request* first_ = nullptr;
  blocking_request* last_ = nullptr;
  std::size_t queued_ = 0;
  seat* idle_ = nullptr;  // who became idle last is called first: the others may then end
  unsigned threads_ = 0;
  unsigned busy_ = 0;
  std::uint64_t done_ = 0;
  unsigned threads_max_;
  bool closing_ = false;
  // Fixed after start.
  const std::int64_t idle_nanoseconds_;
};

}  // namespace treadle::io
