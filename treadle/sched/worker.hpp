// A worker: one kernel thread as the runtime sees it. Foreign kernel threads and the threads of
// model 1:1 have one too; only the workers of fibers have a processor and an idle context.
#pragma once

#include <cxxabi.h>
#include <cerrno>
#include <cstdint>

#include "treadle/base/solo.hpp"
#include "treadle/context/fiber_note.hpp"
#include "treadle/context/switch.hpp"
#include "treadle/thread/block_pool.hpp"
#include "treadle/thread/current.hpp"
#include "treadle/thread/reading.hpp"
#include "treadle/thread/record_pool.hpp"

namespace treadle::core {

// The part of libstdc++'s and libc++abi's __cxa_eh_globals that the Itanium C++ ABI (2.2.2) lays
// down: the stack of caught exceptions and the number of uncaught ones.
struct exception_globals {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

struct worker {
  // Owner only.
  scheduler_port* scheduler = nullptr;
  void* processor = nullptr;  // the scheduler's own type
  std::uint32_t number = 0;   // among its scheduler's workers, from 1; see claim
  // Written by the owner, read by who wants its processor: it is at work in the scheduler.
  base::atomic<std::uint32_t> inside{1};
  int* errno_address = nullptr;  // of this kernel thread
  exception_globals* exceptions = nullptr;
  record_cache records;
  context::resume_point idle{};  // where the idle loop stands while a thread runs
  // Pauses in the longest round of a spin before a lock parks; 0 where the holder cannot run
  // meanwhile.
  unsigned spins_max = 0;
  // Threads that had to queue for a lock here, one soon after the other, and when the last did.
  unsigned lock_waits = 0;
  std::int64_t last_lock_wait = 0;
  std::uint32_t random = 1;  // see random_below()
  [[no_unique_address]] context::fiber_note idle_note;
  block_cache blocks;

  // Measured (bench mutex_64_L0, two workers): threads that queue for a lock more often than this
  // only fight; one worker alone does a locked region without bus locks in less.
  static constexpr std::int64_t fighting_nanoseconds = 2'000;

  // Evenly enough for a choice among few. Source: Marsaglia's xorshift, 32 bits.
  unsigned random_below(unsigned bound) noexcept {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    return static_cast<unsigned>(std::uint64_t{random} * bound >> 32);
  }

  // A thread is about to queue for a lock.
  void note_lock_wait(std::int64_t now) noexcept {
    if (now - last_lock_wait > fighting_nanoseconds) lock_waits = 0;
    ++lock_waits;
    last_lock_wait = now;
  }

  // Call on the kernel thread itself; `fibers` for one that runs them.
  void adopt_kernel_thread(bool fibers) noexcept {
    base::enter_party(fibers);
    join_readers();
    errno_address = &errno;
    exceptions = reinterpret_cast<exception_globals*>(abi::__cxa_get_globals());
    idle_note.adopt_kernel_stack();
    set_current_worker(this);
  }

  // The same at its end.
  void release_kernel_thread() noexcept {
    record_pool::drain(records);
    block_pool::drain(blocks);
    set_current_worker(nullptr);
    set_current_thread(nullptr);
    leave_readers();
    base::leave_party();
  }
};

// The thread that runs here; a foreign kernel thread is adopted at its first use (foreign.cpp).
thread& adopt_current() noexcept;

inline thread& current_thread() noexcept {
  thread* self = current_thread_or_null();
  if (self == nullptr) [[unlikely]]
    return adopt_current();
  return *self;
}

// The worker under the calling thread, which stays the same until the next park.
inline worker& current_worker() noexcept {
  worker* on = current_worker_or_null();
  if (on == nullptr) [[unlikely]] {
    adopt_current();
    on = current_worker_or_null();
  }
  return *on;
}

}  // namespace treadle::core
