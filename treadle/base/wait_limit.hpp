// How long a call may wait: until a point of the monotonic clock, until a stop is asked for, or
// for ever. The last parameter of everything that blocks and is not shaped by the standard.
// Points of other clocks are converted when the limit is made.
#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include "treadle/base/clock.hpp"

namespace treadle::base {

class wait_limit {
 public:
  // For ever.
  wait_limit() noexcept = default;
  // A span of zero or less only looks.
  template <class Rep, class Period>
  wait_limit(const std::chrono::duration<Rep, Period>& span) noexcept  // NOLINT: implicit
      : until_(deadline::after(span)) {}
  template <class Clock, class Duration>
  wait_limit(const std::chrono::time_point<Clock, Duration>& point) noexcept  // NOLINT: implicit
      : until_(deadline::of(point)) {}
  wait_limit(std::stop_token stop) noexcept : stop_(std::move(stop)) {}  // NOLINT: implicit
  template <class Time>
  wait_limit(const Time& time, std::stop_token stop) noexcept : wait_limit(time) {
    stop_ = std::move(stop);
  }

  deadline until() const noexcept { return until_; }
  const std::stop_token& stop() const noexcept { return stop_; }

 private:
  deadline until_ = deadline::never();
  std::stop_token stop_;
};

}  // namespace treadle::base
