// Time as the runtime sees it: CLOCK_MONOTONIC, in nanoseconds, and points in it to wait until.
//
// A deadline never overflows: what lies beyond the clock's range is never(). A time that is no
// number has passed.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>
#include <type_traits>

namespace treadle::base {

inline constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

// Nanoseconds of CLOCK_MONOTONIC (the clock of std::chrono::steady_clock).
inline std::int64_t monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * nanoseconds_per_second + now.tv_nsec;
}

class deadline {
 public:
  static constexpr deadline never() noexcept { return deadline(forever); }
  static constexpr deadline at(std::int64_t nanoseconds) noexcept { return deadline(nanoseconds); }

  // From now on; a negative or zero span has passed already.
  template <class Rep, class Period>
  static deadline after(const std::chrono::duration<Rep, Period>& span) noexcept {
    if (!(span > span.zero())) return deadline(0);
    // Compared in seconds as doubles first: the cast below could overflow, a double cannot.
    const double seconds = std::chrono::duration<double>(span).count();
    const std::int64_t now = monotonic_now();
    if (!(seconds < seconds_until_forever(now))) {
      return never();
    }
    // ceil: a wait may end late, never early.
    return deadline(now + std::chrono::ceil<std::chrono::nanoseconds>(span).count());
  }

  template <class Clock, class Duration>
  static deadline of(const std::chrono::time_point<Clock, Duration>& point) noexcept {
    if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
      const double seconds = std::chrono::duration<double>(point.time_since_epoch()).count();
      if (!(seconds > 0)) return deadline(0);
      if (!(seconds < seconds_until_forever(0))) return never();
      return deadline(
          std::chrono::ceil<std::chrono::nanoseconds>(point.time_since_epoch()).count());
    } else {
      const auto now = Clock::now();
      const double seconds = seconds_between(now, point);
      if (!(seconds > 0)) return deadline(0);
      if (!(seconds < seconds_until_forever(0))) return never();
      // Guess: who waits for years does not mind a microsecond; finer units may not reach there.
      constexpr double far = 1e8;
      if (seconds > far) return after(std::chrono::duration<double>(seconds));
      return after(point - now);
    }
  }

  // Whether the clock itself says that the point is still to come.
  template <class Clock, class Duration>
  static bool is_ahead(const std::chrono::time_point<Clock, Duration>& point) noexcept {
    const auto now = Clock::now();
    const double seconds = seconds_between(now, point);
    constexpr double near = 1;  // guess: exact to nanoseconds is what matters only here
    return seconds > -near && seconds < near ? now < point : seconds > 0;
  }

  constexpr bool is_never() const noexcept { return nanoseconds_ == forever; }
  constexpr std::int64_t nanoseconds() const noexcept { return nanoseconds_; }
  bool has_passed() const noexcept { return !is_never() && monotonic_now() >= nanoseconds_; }

 private:
  static constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();
  // Rounded down, and one less: what is below it surely fits.
  static constexpr double seconds_until_forever(std::int64_t now) noexcept {
    const std::int64_t whole = (forever - now) / nanoseconds_per_second;
    return static_cast<double>(whole - 1);
  }
  // About: in doubles, as the difference of two far points overflows the clock's own type.
  template <class Earlier, class Later>
  static double seconds_between(const Earlier& one, const Later& other) noexcept {
    return std::chrono::duration<double>(other.time_since_epoch()).count() -
           std::chrono::duration<double>(one.time_since_epoch()).count();
  }
  constexpr explicit deadline(std::int64_t nanoseconds) noexcept : nanoseconds_(nanoseconds) {}

  std::int64_t nanoseconds_;
};

// Waits until a point of any clock. `wait` takes a deadline and returns false when that came first;
// it is asked again while the clock itself says that the point is still to come: one that was set
// back meanwhile, or that goes slower than the monotonic one.
template <class Clock, class Duration, class Wait>
bool wait_until(const std::chrono::time_point<Clock, Duration>& point, Wait wait) {
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
    return wait(deadline::of(point));
  } else {
    do {
      if (wait(deadline::of(point))) return true;
    } while (deadline::is_ahead(point));
    return false;
  }
}

}  // namespace treadle::base
