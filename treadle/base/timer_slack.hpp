// How late the kernel may end a timed wait on purpose, so that several end together: the timer
// slack of a kernel thread, 50 us unless somebody has changed it (prctl(2), PR_SET_TIMERSLACK).
#pragma once

#include <cstdint>

namespace treadle::base {

// Sourced: Linux, init/init_task.c.
inline constexpr std::int64_t usual_timer_slack_nanoseconds = 50'000;

// What to ask epoll_wait() for, to be called when the usual slack after `left` is over. Its slack
// grows with the span: a thousandth of it, a two hundredth for who is nice, 0.1 s at most, and the
// thread's own at least. Sourced: Linux, select_estimate_accuracy().
constexpr std::int64_t epoll_span(std::int64_t left, bool is_nice) noexcept {
  constexpr std::int64_t slack_max = 100'000'000;
  const std::int64_t part = is_nice ? 200 : 1000;
  const std::int64_t end = left + usual_timer_slack_nanoseconds;
  const std::int64_t slack = end / (part + 1);
  if (slack <= usual_timer_slack_nanoseconds) return left;
  return end - (slack < slack_max ? slack : slack_max);
}

// The calling kernel thread's, which those that it creates inherit; 0 where the kernel does not
// say. A system call. errno is left alone.
std::int64_t timer_slack_nanoseconds() noexcept;

}  // namespace treadle::base
