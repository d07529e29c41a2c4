// The kernel's slack, and what is asked of epoll_wait() because of it.
#include "treadle/base/timer_slack.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace treadle::base {
namespace {

constexpr std::int64_t slack = usual_timer_slack_nanoseconds;
constexpr std::int64_t millisecond = 1'000'000;

// The end of the kernel's span, as select_estimate_accuracy() has it.
std::int64_t last_end(std::int64_t span, bool is_nice) {
  const std::int64_t grown = std::min(span / (is_nice ? 200 : 1000), 100 * millisecond);
  return span + std::max(grown, slack);
}

TEST(TimerSlack, TheKernelSaysIt) { EXPECT_GT(timer_slack_nanoseconds(), 0); }

TEST(TimerSlack, AShortWaitIsAskedForAsItIs) {
  for (const std::int64_t left : {std::int64_t{1}, slack, millisecond, 9 * millisecond}) {
    EXPECT_EQ(epoll_span(left, false), left);
    EXPECT_EQ(epoll_span(left, true), left);
  }
  EXPECT_EQ(epoll_span(50 * millisecond, false), 50 * millisecond);
}

TEST(TimerSlack, ALongWaitEndsTheUsualSlackLater) {
  for (const bool is_nice : {false, true}) {
    for (std::int64_t left = 1; left < 10'000'000 * millisecond; left = left * 3 + 1) {
      const std::int64_t span = epoll_span(left, is_nice);
      ASSERT_GT(span, 0);
      EXPECT_NEAR(static_cast<double>(last_end(span, is_nice) - left), static_cast<double>(slack),
                  2)
          << left << (is_nice ? ", nice" : "");
    }
  }
}

}  // namespace
}  // namespace treadle::base
