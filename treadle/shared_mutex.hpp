// One writer or many readers, shaped like <shared_mutex>: shared_mutex, shared_timed_mutex, and the
// standard's shared_lock by name.
//
// Contention parks the treadle thread; the worker goes on with others. Usable from and between
// treadle threads of any model and foreign kernel threads.
#pragma once

#include <chrono>
#include <shared_mutex>

#include "treadle/mutex.hpp"
#include "treadle/sync/raw_shared_mutex.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

using std::shared_lock;

// Held by one writer or by any number of readers. Not recursive in either way.
//   lock             free -> held by the caller at once; else the thread parks until it is
//   lock_shared      free, or read and nobody waits to write -> one more reader at once; else the
//                    thread parks
//   try_lock         never parks, never fails for no reason
//   try_lock_shared  never parks; false also while somebody waits to write
//   unlock           held by the caller -> free, or handed over; unlock_shared likewise
// Happens-before: unlock() before the next successful lock of either kind; unlock_shared() before
// the next successful lock().
// Fairness: nobody starves. While a writer waits, arriving readers queue; after a writer, all
// readers that wait are let in together, and the last of them to leave hands over to the next
// writer, in order of arrival. So a thread that holds it shared must not lock it shared again: a
// writer between the two would wait for the first, and the second for the writer.
// Misuse is fatal and names the call and the thread: unlocking what one does not hold,
// unlock_shared() when there are no readers, locking again what one holds exclusively, destroying
// it while it is held or waited for. Not found: unlock_shared() by a thread that is no reader while
// others are. A thread that holds it shared and locks it exclusively waits for itself.
// Source: std::shared_mutex. Not promised: a small object; it has some cache lines, so that readers
// on several cores do not slow each other down. Meant for data that is read much more than written.
class shared_mutex {
 public:
  constexpr shared_mutex() noexcept = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  void lock() { static_cast<void>(raw_.lock_until(base::deadline::never())); }
  bool try_lock() { return raw_.try_lock(); }
  void unlock() { raw_.unlock(); }

  void lock_shared() { raw_.lock_shared(); }
  bool try_lock_shared() { return raw_.try_lock_shared(); }
  void unlock_shared() { raw_.unlock_shared(); }

 private:
  friend struct co::access;
  sync::raw_shared_mutex raw_;
};

// A shared mutex that one can give up waiting for, in either way. Time-outs and cancellation as in
// timed_mutex. Readers that queued behind a writer which has given up are let in at once.
class shared_timed_mutex {
 public:
  constexpr shared_timed_mutex() noexcept = default;
  shared_timed_mutex(const shared_timed_mutex&) = delete;
  shared_timed_mutex& operator=(const shared_timed_mutex&) = delete;

  void lock() { static_cast<void>(raw_.lock_until(base::deadline::never())); }
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

  void lock_shared() { raw_.lock_shared(); }
  bool try_lock_shared() { return raw_.try_lock_shared(); }
  void unlock_shared() { raw_.unlock_shared(); }
  template <class Rep, class Period>
  bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& span) {
    return raw_.lock_shared_until(base::deadline::after(span));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& point) {
    return base::wait_until(point,
                            [this](base::deadline until) { return raw_.lock_shared_until(until); });
  }
  // False when the limit came first.
  bool try_lock_shared(const wait_limit& limit) { return raw_.lock_shared_within(limit); }

 private:
  friend struct co::access;
  sync::raw_shared_mutex raw_{sync::shared_mutex_kind::timed};
};

}  // namespace treadle
