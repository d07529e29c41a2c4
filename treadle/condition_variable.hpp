// Condition variables, shaped like <condition_variable>.
//
// wait() parks the treadle thread, not its worker. notify_one() wakes the longest waiter. With the
// mutex held while the condition is changed, no notification is lost. These never return for no
// reason, but portable code uses the predicate forms all the same.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>

#include "treadle/mutex.hpp"
#include "treadle/sync/raw_condition.hpp"

namespace treadle {

using std::cv_status;

// For any lock type; the thread-safe core of both classes. Clock and time-outs as in timed_mutex.
// Cancellation: the forms with a stop token return when a stop is requested.
// Source: std::condition_variable_any.
class condition_variable_any {
 public:
  condition_variable_any() = default;
  condition_variable_any(const condition_variable_any&) = delete;
  condition_variable_any& operator=(const condition_variable_any&) = delete;

  void notify_one() noexcept { room_->notify_one(); }
  void notify_all() noexcept { room_->notify_all(); }

  template <class Lock>
  void wait(Lock& lock) {
    wait_before(*room_, lock, base::deadline::never());
  }
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate predicate) {
    while (!predicate()) wait(lock);
  }
  template <class Lock, class Clock, class Duration>
  cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& point) {
    return wait_before(*room_, lock, base::deadline::of(point));
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& point,
                  Predicate predicate) {
    return wait_before(lock, base::deadline::of(point), predicate);
  }
  template <class Lock, class Rep, class Period>
  cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& span) {
    return wait_before(*room_, lock, base::deadline::after(span));
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& span, Predicate predicate) {
    return wait_before(lock, base::deadline::after(span), predicate);
  }

  // The three below return the predicate's value; false also when a stop was requested.
  template <class Lock, class Predicate>
  bool wait(Lock& lock, std::stop_token token, Predicate predicate) {
    return wait_stoppable(lock, std::move(token), base::deadline::never(), predicate);
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, std::stop_token token,
                  const std::chrono::time_point<Clock, Duration>& point, Predicate predicate) {
    return wait_stoppable(lock, std::move(token), base::deadline::of(point), predicate);
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, std::stop_token token, const std::chrono::duration<Rep, Period>& span,
                Predicate predicate) {
    return wait_stoppable(lock, std::move(token), base::deadline::after(span), predicate);
  }

 private:
  friend class condition_variable;

  // Locks again on the way out, also when unlock() throws.
  template <class Lock>
  struct unlocked {
    explicit unlocked(Lock& held) : lock(held) { lock.unlock(); }
    ~unlocked() noexcept(false) { lock.lock(); }
    unlocked(const unlocked&) = delete;
    unlocked& operator=(const unlocked&) = delete;
    Lock& lock;
  };

  template <class Lock>
  static cv_status wait_before(sync::raw_condition& room, Lock& lock, base::deadline until) {
    sync::waiter node(core::current_thread());
    room.enlist(node);
    const unlocked<Lock> open(lock);
    return room.wait(node, until) ? cv_status::no_timeout : cv_status::timeout;
  }

  template <class Lock, class Predicate>
  bool wait_before(Lock& lock, base::deadline until, Predicate& predicate) {
    while (!predicate()) {
      if (wait_before(*room_, lock, until) == cv_status::timeout) return predicate();
    }
    return true;
  }

  template <class Lock, class Predicate>
  bool wait_stoppable(Lock& lock, std::stop_token token, base::deadline until,
                      Predicate& predicate) {
    if (token.stop_requested()) return predicate();
    const std::shared_ptr<sync::raw_condition> room = room_;
    const std::stop_callback wake_all(token, [&room] { room->notify_all_surely(); });
    while (!predicate()) {
      sync::waiter node(core::current_thread());
      room->enlist(node);
      // Looked at after enlisting: a stop requested before is seen here, one after finds the node.
      if (token.stop_requested()) {
        room->retract(node);
        return predicate();
      }
      bool notified;
      {
        const unlocked<Lock> open(lock);
        notified = room->wait(node, until);
      }
      if (!notified || token.stop_requested()) return predicate();
    }
    return true;
  }

  // Shared: a stop callback may still run in it while the object is destroyed.
  std::shared_ptr<sync::raw_condition> room_ = std::make_shared<sync::raw_condition>();
};

// For unique_lock<mutex> only: no allocation. Source: std::condition_variable.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  void notify_one() noexcept { room_.notify_one(); }
  void notify_all() noexcept { room_.notify_all(); }

  void wait(std::unique_lock<mutex>& lock) { wait_before(lock, base::deadline::never()); }
  template <class Predicate>
  void wait(std::unique_lock<mutex>& lock, Predicate predicate) {
    while (!predicate()) wait(lock);
  }
  template <class Clock, class Duration>
  cv_status wait_until(std::unique_lock<mutex>& lock,
                       const std::chrono::time_point<Clock, Duration>& point) {
    return wait_before(lock, base::deadline::of(point));
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(std::unique_lock<mutex>& lock,
                  const std::chrono::time_point<Clock, Duration>& point, Predicate predicate) {
    return wait_before(lock, base::deadline::of(point), predicate);
  }
  template <class Rep, class Period>
  cv_status wait_for(std::unique_lock<mutex>& lock,
                     const std::chrono::duration<Rep, Period>& span) {
    return wait_before(lock, base::deadline::after(span));
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& span,
                Predicate predicate) {
    return wait_before(lock, base::deadline::after(span), predicate);
  }

 private:
  cv_status wait_before(std::unique_lock<mutex>& lock, base::deadline until) {
    return condition_variable_any::wait_before(room_, lock, until);
  }
  template <class Predicate>
  bool wait_before(std::unique_lock<mutex>& lock, base::deadline until, Predicate& predicate) {
    while (!predicate()) {
      if (wait_before(lock, until) == cv_status::timeout) return predicate();
    }
    return true;
  }

  sync::raw_condition room_;
};

}  // namespace treadle
