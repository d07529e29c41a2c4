// Semaphores, shaped like <semaphore>. acquire() parks the treadle thread, not its worker.
#pragma once

#include <chrono>
#include <cstddef>

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_semaphore.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// Permits: acquire() takes one, or parks until one is there; release() gives some back and wakes
// as many waiters, in order of arrival; a running thread cannot overtake them.
// Happens-before: release() before the acquire() that takes the permit.
// Time-outs as in timed_mutex. Cancellation: try_acquire() with a stop token in its limit; a permit
// that is there is taken all the same, and none is ever lost to a stop.
// Misuse is fatal: a negative count, destroying it under waiters.
// Source: std::counting_semaphore. Not promised: a check that max() is kept.
template <std::ptrdiff_t LeastMax = sync::raw_semaphore::count_max>
class counting_semaphore {
  static_assert(LeastMax >= 0 && LeastMax <= sync::raw_semaphore::count_max);

 public:
  static constexpr std::ptrdiff_t max() noexcept { return LeastMax; }

  constexpr explicit counting_semaphore(std::ptrdiff_t count) : raw_(count) {
    if (count < 0 || count > LeastMax) {
      base::fail_misuse("counting_semaphore", "the count is negative or above max()");
    }
  }
  counting_semaphore(const counting_semaphore&) = delete;
  counting_semaphore& operator=(const counting_semaphore&) = delete;

  void release(std::ptrdiff_t count = 1) {
    if (count < 0) base::fail_misuse("counting_semaphore::release", "the count is negative");
    if (count > 0) raw_.release(count);
  }
  void acquire() { static_cast<void>(raw_.acquire(base::deadline::never())); }
  bool try_acquire() noexcept { return raw_.try_acquire(); }
  template <class Rep, class Period>
  bool try_acquire_for(const std::chrono::duration<Rep, Period>& span) {
    return raw_.acquire(base::deadline::after(span));
  }
  template <class Clock, class Duration>
  bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& point) {
    return base::wait_until(point, [this](base::deadline until) { return raw_.acquire(until); });
  }
  // False when the limit came first.
  bool try_acquire(const wait_limit& limit) { return raw_.acquire(limit); }

 private:
  friend struct co::access;
  sync::raw_semaphore raw_;
};

using binary_semaphore = counting_semaphore<1>;

}  // namespace treadle
