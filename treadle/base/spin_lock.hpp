// A lock for critical sections of a few instructions that never switch threads inside.
//
// Any kernel thread may take it. It spins a little and then gives the CPU away: the holder may
// have been preempted by the kernel. The runtime itself preempts no holder: it counts locks.
// Rejected: a futex here (the sections are shorter than one system call); a ticket lock (a
// preempted ticket holder stops everybody behind it).
#pragma once

#include <sched.h>

#include "treadle/base/atomic.hpp"
#include "treadle/base/solo.hpp"

namespace treadle::base {

// The wait between two looks at a lock: a pause, and now and then the CPU given away.
class spin_pause {
 public:
  void once() noexcept {
    if (++rounds_ % rounds_max != 0) {
      spin_hint();
    } else {
      ::sched_yield();
    }
  }

 private:
  // Guess: longer than any section, shorter than a time slice by far.
  static constexpr unsigned rounds_max = 200;
  unsigned rounds_ = 0;
};

// For a lock that is a bit of some other word: its holder, too, is preempted by nobody. Not over a
// park: the count is the kernel thread's.
class [[nodiscard]] counted_as_lock {
 public:
  counted_as_lock() noexcept { count_lock(); }
  ~counted_as_lock() { uncount_lock(); }
  counted_as_lock(const counted_as_lock&) = delete;
  counted_as_lock& operator=(const counted_as_lock&) = delete;
};

class spin_lock {
 public:
  constexpr spin_lock() noexcept = default;
  spin_lock(const spin_lock&) = delete;
  spin_lock& operator=(const spin_lock&) = delete;

  void lock() noexcept {
    count_lock();
    // acquire: pairs with unlock(), publishes what the last holder wrote
    while (held_.exchange(true, acquire)) {
      spin_pause pause;
      while (held_.load(relaxed)) pause.once();  // relaxed: the exchange that follows synchronises
    }
  }
  bool try_lock() noexcept {
    count_lock();
    // relaxed look first: a failing exchange would take the line away from the holder
    if (!held_.load(relaxed) && !held_.exchange(true, acquire)) return true;  // pairs with unlock()
    uncount_lock();
    return false;
  }
  // In a child that fork() made, of a lock that a kernel thread of the parent held: it is ours.
  void take_over() noexcept { count_lock(); }
  void unlock() noexcept {
    held_.store(false, release);  // pairs with lock()
    uncount_lock();
  }

 private:
  atomic<bool> held_{false};
};

// Holds a lock for a block (std::lock_guard without <mutex>).
template <class Lock>
class [[nodiscard]] guard {
 public:
  explicit guard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~guard() { lock_.unlock(); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace treadle::base
