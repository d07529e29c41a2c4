// Condition variables, shaped like <condition_variable>.
//
// wait() parks the treadle thread, not its worker. notify_one() wakes the longest waiter. With the
// mutex held while the condition is changed, no notification is lost. These never return for no
// reason, but for one: until a point of another clock than steady_clock they may, with no_timeout,
// when that clock was set back or goes more slowly. Portable code uses the predicate forms.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "treadle/mutex.hpp"
#include "treadle/sync/raw_condition.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

using std::cv_status;

// For any lock type; the thread-safe core of both classes. Clock and time-outs as in timed_mutex.
// Cancellation: the forms with a stop token or a limit return when a stop is requested; the lock is
// then taken again all the same, which nothing cuts short; when taking it throws,
// std::terminate().
// Source: std::condition_variable_any.
class condition_variable_any {
 public:
  constexpr condition_variable_any() noexcept = default;
  condition_variable_any(const condition_variable_any&) = delete;
  condition_variable_any& operator=(const condition_variable_any&) = delete;

  void notify_one() noexcept { room_.notify_one(); }
  void notify_all() noexcept { room_.notify_all(); }

  template <class Lock>
  void wait(Lock& lock) {
    wait_before(room_, lock, base::deadline::never());
  }
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate predicate) {
    while (!predicate()) wait(lock);
  }
  template <class Lock, class Clock, class Duration>
  cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& point) {
    return status_at(point, wait_before(room_, lock, base::deadline::of(point)));
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& point,
                  Predicate predicate) {
    return base::wait_until(
        point, [&](base::deadline until) { return wait_before(room_, lock, until, predicate); });
  }
  template <class Lock, class Rep, class Period>
  cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& span) {
    return status(wait_before(room_, lock, base::deadline::after(span)));
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& span, Predicate predicate) {
    return wait_before(room_, lock, base::deadline::after(span), predicate);
  }

  // The three below return the predicate's value; false also when a stop was requested.
  template <class Lock, class Predicate>
  bool wait(Lock& lock, std::stop_token token, Predicate predicate) {
    return wait_within(room_, lock, wait_limit(std::move(token)), predicate);
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, std::stop_token token,
                  const std::chrono::time_point<Clock, Duration>& point, Predicate predicate) {
    do {
      if (wait_within(room_, lock, wait_limit(point, token), predicate)) return true;
    } while (base::deadline::is_ahead(point) && !token.stop_requested());  // as wait_until()
    return false;
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, std::stop_token token, const std::chrono::duration<Rep, Period>& span,
                Predicate predicate) {
    return wait_within(room_, lock, wait_limit(span, std::move(token)), predicate);
  }

  // True when notified, false when the limit came first. With a predicate: its value, and an ended
  // limit only looks.
  template <class Lock>
  bool try_wait(Lock& lock, const wait_limit& limit) {
    return wait_within(room_, lock, limit);
  }
  template <class Lock, class Predicate>
  bool try_wait(Lock& lock, const wait_limit& limit, Predicate predicate) {
    return wait_within(room_, lock, limit, predicate);
  }

 private:
  friend class condition_variable;

  // Enlists and unlocks; locks again on the way out. When unlock() throws the node is out of the
  // list, and what notified it meanwhile goes to another.
  template <class Lock>
  struct opened {
    opened(sync::raw_condition& room, sync::raw_condition::node& node, Lock& held) : lock(held) {
      room.enlist(node);
      try {
        lock.unlock();
      } catch (...) {
        room.retract(node);
        throw;
      }
    }
    ~opened() { lock.lock(); }  // noexcept: nobody could go on without the lock
    opened(const opened&) = delete;
    opened& operator=(const opened&) = delete;
    Lock& lock;
  };

  // These return whether a notification came; with a predicate, what it says at the end.
  template <class Lock>
  static bool wait_before(sync::raw_condition& room, Lock& lock, base::deadline until) {
    sync::raw_condition::node node(core::current_thread(), !until.is_never());
    const opened<Lock> open(room, node, lock);
    if (!until.is_never()) return room.wait(node, until);
    room.wait_for_ever(node);
    return true;
  }
  template <class Lock, class Predicate>
  static bool wait_before(sync::raw_condition& room, Lock& lock, base::deadline until,
                          Predicate& predicate) {
    while (!predicate()) {
      if (!wait_before(room, lock, until)) return predicate();
    }
    return true;
  }
  template <class Lock>
  static bool wait_within(sync::raw_condition& room, Lock& lock, const wait_limit& limit) {
    core::thread& self = core::current_thread();
    sync::raw_condition::node node(self, true);
    const opened<Lock> open(room, node, lock);
    const core::stop_alarm alarm(self, limit.stop());
    return room.wait(node, limit.until(), &alarm);
  }
  template <class Lock, class Predicate>
  static bool wait_within(sync::raw_condition& room, Lock& lock, const wait_limit& limit,
                          Predicate& predicate) {
    // Also where the stop has been already: a loop of such waits must let others run.
    while (!predicate()) {
      if (!wait_within(room, lock, limit)) return predicate();
    }
    return true;
  }
  static cv_status status(bool notified) noexcept {
    return notified ? cv_status::no_timeout : cv_status::timeout;
  }
  // The point's own clock has the last word: it may have been set back, or go more slowly.
  template <class Clock, class Duration>
  static cv_status status_at(const std::chrono::time_point<Clock, Duration>& point, bool notified) {
    if constexpr (!std::is_same_v<Clock, std::chrono::steady_clock>) {
      if (!notified && base::deadline::is_ahead(point)) return cv_status::no_timeout;
    }
    return status(notified);
  }

  friend struct co::access;
  sync::raw_condition room_;
};

// For unique_lock<mutex> only. Source: std::condition_variable.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  void notify_one() noexcept { room_.notify_one(); }
  void notify_all() noexcept { room_.notify_all(); }

  void wait(std::unique_lock<mutex>& lock) {
    any::wait_before(room_, lock, base::deadline::never());
  }
  template <class Predicate>
  void wait(std::unique_lock<mutex>& lock, Predicate predicate) {
    while (!predicate()) wait(lock);
  }
  template <class Clock, class Duration>
  cv_status wait_until(std::unique_lock<mutex>& lock,
                       const std::chrono::time_point<Clock, Duration>& point) {
    return any::status_at(point, any::wait_before(room_, lock, base::deadline::of(point)));
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(std::unique_lock<mutex>& lock,
                  const std::chrono::time_point<Clock, Duration>& point, Predicate predicate) {
    return base::wait_until(point, [&](base::deadline until) {
      return any::wait_before(room_, lock, until, predicate);
    });
  }
  template <class Rep, class Period>
  cv_status wait_for(std::unique_lock<mutex>& lock,
                     const std::chrono::duration<Rep, Period>& span) {
    return any::status(any::wait_before(room_, lock, base::deadline::after(span)));
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& span,
                Predicate predicate) {
    return any::wait_before(room_, lock, base::deadline::after(span), predicate);
  }

  // As condition_variable_any's.
  bool try_wait(std::unique_lock<mutex>& lock, const wait_limit& limit) {
    return any::wait_within(room_, lock, limit);
  }
  template <class Predicate>
  bool try_wait(std::unique_lock<mutex>& lock, const wait_limit& limit, Predicate predicate) {
    return any::wait_within(room_, lock, limit, predicate);
  }

 private:
  using any = condition_variable_any;

  friend struct co::access;
  sync::raw_condition room_;
};

// Takes over the lock, and when the calling thread has ended, after its thread_specific values have
// been destroyed, notifies all and unlocks; for main that is never. Does not park. So a detached
// thread can tell that it is gone: whoever waits checks a condition that was set under the lock
// before this call.
// Errors: std::bad_alloc, and then the lock is given back as by its destructor. Misuse is fatal: a
// lock that is not held. Source: std::notify_all_at_thread_exit.
void notify_all_at_thread_exit(condition_variable& condition, std::unique_lock<mutex> lock);

}  // namespace treadle
