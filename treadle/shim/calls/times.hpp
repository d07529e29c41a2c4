// The kernel's times as deadlines of the monotonic clock, and back.
#pragma once

#include <time.h>

#include "treadle/base/clock.hpp"

namespace treadle::shim {

inline bool is_valid(const timespec& time) noexcept {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < base::nanoseconds_per_second;
}

// Saturates; a valid time.
inline std::int64_t nanoseconds_of(const timespec& time) noexcept {
  // Guess: a hundred years are for ever, and leave room for additions.
  constexpr std::int64_t seconds_max = 100LL * 366 * 24 * 3600;
  const std::int64_t seconds = time.tv_sec < seconds_max ? time.tv_sec : seconds_max;
  return seconds * base::nanoseconds_per_second + time.tv_nsec;
}

inline base::deadline deadline_after(const timespec& span) noexcept {
  return base::deadline::at(base::monotonic_now() + nanoseconds_of(span));
}

// A point of another clock is turned into one of the monotonic clock now: a clock that is set
// meanwhile is not followed.
inline base::deadline deadline_at(clockid_t clock, const timespec& point) noexcept {
  if (clock == CLOCK_MONOTONIC) return base::deadline::at(nanoseconds_of(point));
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) return base::deadline::at(0);
  const std::int64_t left = nanoseconds_of(point) - nanoseconds_of(now);
  return base::deadline::at(base::monotonic_now() + (left > 0 ? left : 0));
}

inline timespec timespec_of(std::int64_t nanoseconds) noexcept {
  return {nanoseconds / base::nanoseconds_per_second, nanoseconds % base::nanoseconds_per_second};
}

}  // namespace treadle::shim
