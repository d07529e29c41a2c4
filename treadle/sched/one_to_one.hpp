// 1:1: each thread is a kernel thread of its own; park is a futex wait on the token.
//
// The thread's stack comes from the same guarded region as a fiber's, so an overflow is reported
// in the same way. A kernel thread still runs on its stack while it ends, so the stack is free
// only after pthread_join: join() does that for joined threads; detached ones queue up in a
// graveyard that the next start, join or close visits.
// Also the scheduler of foreign kernel threads, which it neither starts nor ends (foreign.cpp).
#pragma once

#include <pthread.h>

#include <cstdint>

#include "treadle/base/chain.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/context/stack_arenas.hpp"
#include "treadle/sched/fiber_scheduler.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

// worker::spins_max of a kernel thread that shares the machine with others.
unsigned spins_between_kernel_threads() noexcept;

class one_to_one final : public scheduler_port {
 public:
  explicit one_to_one(stack_sizes sizes) noexcept : sizes_(sizes) {}

  // Waits until every thread has ended. Not from a thread of ours.
  void close() noexcept;

  int create(const creation& wanted, thread*& made) noexcept final;
  void discard(thread& unstarted) noexcept final;
  thread* spawn(closure_function entry, small_closure closure, int& error) noexcept final;
  int start(thread& fresh) noexcept final;
  wake park(wait_reason why, deadline until) noexcept final;
  void park_until_set(thread& self, const base::atomic<bool>& flag, wait_reason why) noexcept final;
  void yield() noexcept final;
  [[noreturn]] void exit() noexcept final;
  int fork(thread& child, fork_point& point) noexcept final;
  void join(thread& which) noexcept final;
  int set_level(thread& which, thread_level wanted) noexcept final;
  void reap(thread& finished) noexcept final;

  unsigned width() const noexcept final;
  scheduler_counters counters() const noexcept final;

 private:
  struct seat;  // the kernel thread's worker and handle, below the body on the stack

  static void* kernel_main(void* argument);
  static seat& seat_of(thread& which) noexcept;
  void bury(thread& ended) noexcept;
  void visit_graveyard() noexcept;
  void release_memory(thread& ended) noexcept;

  const stack_sizes sizes_;
  base::atomic<std::uint64_t> started_{0};
  base::atomic<std::uint64_t> finished_{0};

  base::spin_lock graveyard_lock_;
  // Guarded by graveyard_lock_: ended threads that nobody joins, their kernel threads unjoined.
  base::chain<thread> graveyard_;
};

}  // namespace treadle::core
