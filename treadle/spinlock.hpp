// A lock for a few instructions, which never parks.
#pragma once

#include "treadle/sync/raw_spinlock.hpp"

namespace treadle {

// Who waits for it spins, and gives way to other threads now and then: it costs its worker, and
// there is no order. For data that is touched for some tens of nanoseconds; else use a mutex, which
// is as cheap while nobody else wants it.
//   lock      free -> held at once; held -> spins and yields until it gets it
//   try_lock  never waits, never fails for no reason
//   unlock    held by the caller -> free
// While a thread holds one it must not park: others would spin for as long as it sleeps. In a build
// with TREADLE_ASSERTIONS that is fatal: the message names the call that parks and the thread. To
// yield, and to be preempted, is allowed.
// Happens-before: unlock() before the next successful lock() or try_lock().
// Fairness: none. Cancellation: none.
// Misuse is fatal: unlocking what one does not hold, locking again what one holds, destroying it
// while it is held. Source: the Lockable requirements; use the standard's lock holders.
class spinlock {
 public:
  constexpr spinlock() noexcept = default;
  spinlock(const spinlock&) = delete;
  spinlock& operator=(const spinlock&) = delete;

  void lock() noexcept { raw_.lock(); }
  bool try_lock() noexcept { return raw_.try_lock(); }
  void unlock() noexcept { raw_.unlock(); }

 private:
  sync::raw_spinlock raw_;
};

}  // namespace treadle
