// When to ask the kernel to end the wait for the next timer (decision 0044).
//
// The kernel ends a timed wait late by the timer slack: it sets the CPU's timer for the end of that
// span, and ends the wait sooner only where that timer goes off in it for something else. So who
// asks for the slack earlier is mostly called on time, even if that is a time that has passed: the
// end of the span has not. Called too early he finds nothing due, and asks again. Where timers
// follow each other closely it is better to be late: one wait ends for several.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/timer_slack.hpp"
#include "treadle/sched/timer_queue.hpp"

namespace treadle::core {

class wake_ahead {
 public:
  // Guess: with so many sleepers and the next timer so soon there will be others right behind it.
  // Measured (bench sleepers, 1 ns of slack instead of 50 us): 1000 in a second take 4 % more CPU
  // time, 5000 a quarter, 20,000 three quarters.
  static constexpr std::size_t sleepers_min = 64;
  static constexpr std::int64_t soon_nanoseconds = 500'000;

  // Who has set a longer slack than usual, to save energy, has its waits end together.
  explicit wake_ahead(std::int64_t slack) noexcept
      : slack_(std::min(slack, base::usual_timer_slack_nanoseconds)) {}

  // Whether it is better to be late for the timer.
  template <class Count>
  static bool come_together(std::int64_t looked, std::int64_t timer, const Count& sleepers) {
    return timer < looked + soon_nanoseconds && sleepers() >= sleepers_min;
  }

  // For who looked at the timers at `looked`, of which the next one is due at `timer`. `sleepers`
  // counts them, about. `polls`: the wait is epoll_wait(), which cannot be asked for the past.
  template <class Count>
  std::int64_t asks_for(std::int64_t looked, std::int64_t timer, bool polls,
                        const Count& sleepers) noexcept {
    if (timer == timer_queue::no_deadline || timer <= looked) return timer;
    if (come_together(looked, timer, sleepers)) return timer;
    const std::int64_t ahead = timer - slack_;
    if (ahead > looked) return ahead;
    // A kernel thread that has less slack by now would be called at once, again and again. relaxed,
    // both: of two that wait for the same timer one may have it a slack late
    if (polls || tried_.load(base::relaxed) == timer) return timer;
    tried_.store(timer, base::relaxed);
    return ahead;
  }

 private:
  const std::int64_t slack_;
  base::atomic<std::int64_t> tried_{0};  // the last timer for which the past was asked
};

}  // namespace treadle::core
