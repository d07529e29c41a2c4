// A mutex for threads of several priorities.
//
// While it is held, its holder runs at the priority of the highest thread that waits for it, and so
// does whoever that holder waits for at another such mutex. So a thread of a high priority waits
// for the locked region and not for all that goes before the holder.
#pragma once

#include <chrono>

#include "treadle/mutex.hpp"
#include "treadle/sync/raw_inheriting_mutex.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// One holder, not recursive. The waiting side is that of timed_mutex: deadlines on the monotonic
// clock, a stop by a limit's token, and a limit that has come still takes a free mutex. Who gives
// up waiting takes back what it has lent.
//   lock      free -> held at once; held -> lends its priority and parks until it is its turn
//   try_lock  never parks, never fails for no reason, lends nothing
//   unlock    held by the caller -> the first of the highest priority that waits has it, and runs
//             at once if it is higher than the caller then is; nobody waits -> free
// Happens-before: unlock() before the next successful lock() or try_lock().
// Fairness: by priority, then in order of arrival; nobody barges. A lower one is starved by higher
// ones that never leave it free.
// Priorities are lent between threads of all models and foreign kernel threads. Where a thread has
// a kernel thread of its own, what it is lent is a nice value, which the kernel may refuse
// (RLIMIT_NICE).
// Misuse is fatal and names the call, the thread and the holder: unlocking what one does not hold,
// locking again what one holds, destroying it while it is held or waited for, ending while one
// holds it.
// Source: pthread_mutexattr_setprotocol, PTHREAD_PRIO_INHERIT.
class priority_inheritance_mutex {
 public:
  constexpr priority_inheritance_mutex() noexcept = default;
  priority_inheritance_mutex(const priority_inheritance_mutex&) = delete;
  priority_inheritance_mutex& operator=(const priority_inheritance_mutex&) = delete;

  void lock() { raw_.lock(); }
  bool try_lock() { return raw_.try_lock(); }
  void unlock() { raw_.unlock(); }
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& span) {
    return raw_.lock_until(base::deadline::after(span));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& point) {
    return base::wait_until(point, [this](base::deadline until) { return raw_.lock_until(until); });
  }
  // False when the limit came first.
  bool try_lock(const wait_limit& limit) { return raw_.lock_within(limit); }

 private:
  friend struct co::access;

  sync::raw_inheriting_mutex raw_;
};

}  // namespace treadle
