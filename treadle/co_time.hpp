// co_await on time and turns, and the task's own stop token.
#pragma once

#include <chrono>

#include "treadle/co_access.hpp"
#include "treadle/task/sleep.hpp"

namespace treadle::co {

// For at least that long on the monotonic clock: co_await gives true, never early. False as soon as
// a stop is asked for, of `stop` or, without one, of the task's own token; at once when that has
// happened already. A span of zero or less lets others run.
template <class Rep, class Period>
[[nodiscard]] tasks::sleep sleep_for(const std::chrono::duration<Rep, Period>& span,
                                     std::stop_token stop = {}) {
  return tasks::sleep(base::deadline::after(span), std::move(stop));
}
// Time points of other clocks than steady_clock are converted at the call.
template <class Clock, class Duration>
[[nodiscard]] tasks::sleep sleep_until(const std::chrono::time_point<Clock, Duration>& point,
                                       std::stop_token stop = {}) {
  return tasks::sleep(base::deadline::of(point), std::move(stop));
}

// Lets all tasks that are ready go first.
[[nodiscard]] inline tasks::turn yield() noexcept { return {}; }

namespace detail {

struct own_token {
  std::stop_token token;

  static bool await_ready() noexcept { return false; }
  template <tasks::runs_as_task Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
    const std::stop_token* const own = caller.promise().own_line().stop();
    if (own != nullptr) token = *own;
    return false;
  }
  std::stop_token await_resume() noexcept { return std::move(token); }
};

}  // namespace detail

// co_await gives the token that spawn() or block_on() got, or an empty one. Does not wait.
[[nodiscard]] inline detail::own_token stop_token() noexcept { return {}; }

}  // namespace treadle::co
