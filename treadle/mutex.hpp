// Mutual exclusion, shaped like <mutex>: mutex, timed_mutex, recursive_mutex,
// recursive_timed_mutex, once_flag, call_once, and the standard's lock holders by name.
//
// Contention parks the treadle thread; the worker goes on with others. Usable from and between
// treadle threads of any model and foreign kernel threads.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <utility>

#include "treadle/sync/raw_mutex.hpp"
#include "treadle/sync/raw_once.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

using std::adopt_lock;
using std::adopt_lock_t;
using std::defer_lock;
using std::defer_lock_t;
using std::lock;
using std::lock_guard;
using std::scoped_lock;
using std::try_lock;
using std::try_to_lock;
using std::try_to_lock_t;
using std::unique_lock;

// One holder, not recursive.
//   lock      free -> held at once; held -> the thread parks until it gets the mutex
//   try_lock  never parks, never fails for no reason
//   unlock    held by the caller -> free
// Happens-before: unlock() before the next successful lock() or try_lock().
// Fairness: barging, but a waiter that has lost for a millisecond is next.
// Misuse is fatal and names the call and the thread: unlocking what one does not hold, locking
// again what one holds, destroying it while it is held or waited for.
// Source: std::mutex. Not promised: order of arrival.
class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  void lock() { raw_.lock(); }
  bool try_lock() { return raw_.try_lock(); }
  void unlock() { raw_.unlock(); }

 private:
  friend struct co::access;
  sync::raw_mutex raw_;
};

// A mutex that one can give up waiting for. Time-outs are measured on the monotonic clock; of other
// clocks the time is converted, again when it is over and the clock itself says that it is not. A
// deadline that has passed still takes a free mutex.
// Cancellation: try_lock() with a stop token in its limit; a stop still takes a free mutex.
class timed_mutex {
 public:
  constexpr timed_mutex() noexcept = default;
  timed_mutex(const timed_mutex&) = delete;
  timed_mutex& operator=(const timed_mutex&) = delete;

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
  sync::raw_mutex raw_{sync::mutex_kind::timed};
};

// A mutex whose holder may lock it again; it is free after as many unlocks.
class recursive_timed_mutex {
 public:
  constexpr recursive_timed_mutex() noexcept = default;
  recursive_timed_mutex(const recursive_timed_mutex&) = delete;
  recursive_timed_mutex& operator=(const recursive_timed_mutex&) = delete;

  void lock() {
    if (!raw_.is_mine()) raw_.lock();
    ++depth_;
  }
  bool try_lock() noexcept {
    if (!raw_.is_mine() && !raw_.try_lock()) return false;
    ++depth_;
    return true;
  }
  void unlock() {
    if (leaves_last(raw_.is_mine())) raw_.unlock();
  }
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& span) {
    return lock_before(base::deadline::after(span));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& point) {
    return base::wait_until(point, [this](base::deadline until) { return lock_before(until); });
  }
  // False when the limit came first.
  bool try_lock(const wait_limit& limit) {
    if (!raw_.is_mine() && !raw_.lock_within(limit)) return false;
    ++depth_;
    return true;
  }

 private:
  friend class recursive_mutex;
  friend struct co::access;
  constexpr explicit recursive_timed_mutex(sync::mutex_kind kind) noexcept : raw_(kind) {}

  // Whether the raw mutex is to be unlocked; by who does not hold it, too: it says so, and ends the
  // process.
  bool leaves_last(bool is_holder) noexcept {
    if (!is_holder) return true;
    return --depth_ == 0;
  }

  bool lock_before(base::deadline until) {
    if (!raw_.is_mine() && !raw_.lock_until(until)) return false;
    ++depth_;
    return true;
  }

  sync::raw_mutex raw_{sync::mutex_kind::recursive_timed};
  unsigned depth_ = 0;  // guarded by raw_
};

class recursive_mutex {
 public:
  constexpr recursive_mutex() noexcept = default;
  recursive_mutex(const recursive_mutex&) = delete;
  recursive_mutex& operator=(const recursive_mutex&) = delete;

  void lock() { inner_.lock(); }
  bool try_lock() noexcept { return inner_.try_lock(); }
  void unlock() { inner_.unlock(); }

 private:
  friend struct co::access;
  recursive_timed_mutex inner_{sync::mutex_kind::recursive};
};

class once_flag {
 public:
  constexpr once_flag() noexcept = default;
  once_flag(const once_flag&) = delete;
  once_flag& operator=(const once_flag&) = delete;

 private:
  template <class F, class... Args>
  friend void call_once(once_flag& flag, F&& function, Args&&... args);

  friend struct co::access;
  sync::raw_once raw_;
};

// Runs `function` once per flag; other callers park until it has returned. An exception goes to
// its caller, and another caller tries. Happens-before: the run before every return.
// Cancellation: none; nobody can go on before the run has ended.
template <class F, class... Args>
void call_once(once_flag& flag, F&& function, Args&&... args) {
  if (flag.raw_.is_done() || !flag.raw_.begin()) return;
  struct finisher {
    sync::raw_once& raw;
    bool success = false;
    ~finisher() { raw.finish(success); }
  } finish{flag.raw_};
  std::invoke(std::forward<F>(function), std::forward<Args>(args)...);
  finish.success = true;
}

}  // namespace treadle
