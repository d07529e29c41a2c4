// When a wait for the next timer is asked to end.
#include "treadle/sched/wake_ahead.hpp"

#include <gtest/gtest.h>

namespace treadle::core {
namespace {

constexpr std::int64_t now = 1'000'000'000;
constexpr std::int64_t slack = base::usual_timer_slack_nanoseconds;
constexpr std::int64_t soon = now + wake_ahead::soon_nanoseconds - 1;
constexpr std::int64_t later = soon + 1;

std::int64_t asked(std::int64_t timer, std::size_t sleepers = 1, std::int64_t of_kernel = slack) {
  return wake_ahead(of_kernel).asks_for(now, timer, false, [sleepers] { return sleepers; });
}
// By one who waits for events, too, where `polls`.
std::int64_t asked_of(wake_ahead& one, std::int64_t timer, bool polls) {
  return one.asks_for(now, timer, polls, [] { return std::size_t{1}; });
}

TEST(WakeAhead, AsksForTheSlackEarlier) {
  EXPECT_EQ(asked(later), later - slack);
  EXPECT_EQ(asked(soon), soon - slack);
  EXPECT_EQ(asked(later, 1, 100), later - 100);
}

TEST(WakeAhead, AlsoForWhatHasPassed) {
  EXPECT_EQ(asked(now + slack + 1), now + 1);
  EXPECT_EQ(asked(now + slack), now);
  EXPECT_EQ(asked(now + 1), now + 1 - slack);
}

TEST(WakeAhead, ButOnce) {
  wake_ahead one(slack);
  EXPECT_EQ(asked_of(one, now + 10, false), now + 10 - slack);
  EXPECT_EQ(asked_of(one, now + 10, false), now + 10);
  EXPECT_EQ(asked_of(one, now + 11, false), now + 11 - slack);
  // Who asks for what is still ahead may do so again: he was called for something else.
  EXPECT_EQ(asked_of(one, later, false), later - slack);
  EXPECT_EQ(asked_of(one, later, false), later - slack);
}

TEST(WakeAhead, NotOfWhatCannotBeAskedForIt) {
  wake_ahead one(slack);
  EXPECT_EQ(asked_of(one, now + slack, true), now + slack);
  EXPECT_EQ(asked_of(one, now + slack + 1, true), now + 1);
}

TEST(WakeAhead, WhatIsDueIsAskedForAsItIs) {
  EXPECT_EQ(asked(now), now);
  EXPECT_EQ(asked(now - 1), now - 1);
}

TEST(WakeAhead, WithoutATimerThereIsNoEnd) {
  EXPECT_EQ(asked(timer_queue::no_deadline), timer_queue::no_deadline);
}

TEST(WakeAhead, ManyWhoseTimersComeSoonAreWokenTogether) {
  EXPECT_EQ(asked(soon, wake_ahead::sleepers_min), soon);
  EXPECT_EQ(asked(soon, wake_ahead::sleepers_min - 1), soon - slack);
  EXPECT_EQ(asked(later, wake_ahead::sleepers_min), later - slack);
}

TEST(WakeAhead, ASlackThatSomebodyHasSetIsKept) {
  EXPECT_EQ(asked(later, 1, 0), later);
  EXPECT_EQ(asked(later, 1, 10'000'000), later - slack);
}

}  // namespace
}  // namespace treadle::core
