// How often the monitor looks, by what it has seen.
#include "treadle/sched/look_pace.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace treadle::core {
namespace {

using round = look_pace::round;
constexpr std::int64_t start = 1'000'000'000;

constexpr round asleep{};
// A thread waits, and what runs does not change.
constexpr round held{.all_idle = false,
                     .any_hurry = true,
                     .any_waits = true,
                     .all_nap = false,
                     .all_pass = false,
                     .all_even = false};
// Threads in turns of a millisecond or two.
constexpr round in_long_turns{
    .all_idle = false, .any_hurry = true, .any_waits = true, .all_nap = false, .all_even = false};
// Threads in turns, none of which keeps the processor.
constexpr round in_turns{.all_idle = false, .any_hurry = true, .any_waits = true, .all_nap = false};
// One thread that computes.
constexpr round alone{.all_idle = false, .all_nap = false, .all_even = false};
// A server's: up again and again.
constexpr round serving{.all_idle = false, .any_hurry = true};
// The same with threads that sleep for a short time only.
constexpr round ticking{.all_idle = false, .any_hurry = true, .any_waits = true, .all_pass = false};

// The pause after rounds that see the same for so long.
std::int64_t pause_after(look_pace& pace, const round& seen, std::int64_t& now, std::int64_t span) {
  const std::int64_t end = now + span;
  std::int64_t pause = pace.after(seen, now);
  while (now + pause <= end) {
    now += pause;
    pause = pace.after(seen, now);
  }
  return pause;
}

struct LookPace : testing::Test {
  std::int64_t now = start;
  look_pace pace{now, false};
};

TEST_F(LookPace, HurriesWhereSomebodyWaits) {
  EXPECT_EQ(pause_after(pace, held, now, 5'000'000'000), look_pace::hurried_nanoseconds);
  EXPECT_EQ(pause_after(pace, ticking, now, 5'000'000'000), look_pace::hurried_nanoseconds);
}

TEST_F(LookPace, IsSteadyWhereNobodyWaitsAndThenLooksSeldom) {
  EXPECT_EQ(pause_after(pace, alone, now, look_pace::drowsy_after_nanoseconds / 2),
            look_pace::steady_nanoseconds);
  EXPECT_EQ(pause_after(pace, alone, now, look_pace::drowsy_after_nanoseconds),
            look_pace::drowsy_nanoseconds);
  EXPECT_EQ(pace.after(held, now), look_pace::hurried_nanoseconds);
  EXPECT_EQ(pace.after(alone, now), look_pace::steady_nanoseconds);
}

TEST_F(LookPace, RestsWhereThreadsTakeTurns) {
  EXPECT_EQ(pace.after(in_turns, now), look_pace::hurried_nanoseconds);
  EXPECT_EQ(pause_after(pace, in_turns, now, look_pace::pass_after_nanoseconds / 2),
            look_pace::hurried_nanoseconds);
  EXPECT_EQ(pause_after(pace, in_turns, now, look_pace::pass_after_nanoseconds),
            look_pace::restful_nanoseconds);
  EXPECT_EQ(pause_after(pace, in_turns, now, look_pace::drowsy_after_nanoseconds),
            look_pace::drowsy_nanoseconds);
  EXPECT_EQ(pace.after(held, now), look_pace::hurried_nanoseconds);
  EXPECT_EQ(pace.after(in_turns, now), look_pace::hurried_nanoseconds);
}

TEST_F(LookPace, RestsWhereTurnsAreLongButNobodyStays) {
  EXPECT_EQ(pause_after(pace, in_long_turns, now, look_pace::pass_after_nanoseconds / 2),
            look_pace::hurried_nanoseconds);
  EXPECT_EQ(pause_after(pace, in_long_turns, now, 5'000'000'000), look_pace::restful_nanoseconds);
  EXPECT_EQ(pace.after(held, now), look_pace::hurried_nanoseconds);
  EXPECT_EQ(pace.after(in_long_turns, now), look_pace::hurried_nanoseconds);
}

TEST_F(LookPace, RestsWithAServerAndThenLooksSeldom) {
  EXPECT_EQ(pause_after(pace, serving, now, look_pace::restful_after_nanoseconds * 2),
            look_pace::restful_nanoseconds);
  EXPECT_EQ(pause_after(pace, serving, now, look_pace::drowsy_after_nanoseconds),
            look_pace::drowsy_nanoseconds);
  EXPECT_EQ(pause_after(pace, asleep, now, 0), look_pace::drowsy_nanoseconds);
  EXPECT_EQ(pace.after(held, now), look_pace::hurried_nanoseconds);
  EXPECT_EQ(pause_after(pace, serving, now, look_pace::restful_after_nanoseconds * 2),
            look_pace::restful_nanoseconds);
}

TEST_F(LookPace, BeginsAgainAfterALongSleep) {
  pause_after(pace, serving, now, 2 * look_pace::drowsy_after_nanoseconds);
  pace.begin_again(now, now + look_pace::restful_after_nanoseconds / 2);
  EXPECT_EQ(pace.after(serving, now), look_pace::drowsy_nanoseconds);
  const std::int64_t slept_at = now;
  now += 2 * look_pace::restful_after_nanoseconds;
  pace.begin_again(slept_at, now);
  EXPECT_EQ(pace.after(held, now), look_pace::hurried_nanoseconds);
}

TEST_F(LookPace, IsFasterWithoutStandbys) {
  look_pace without{now, true};
  EXPECT_EQ(pause_after(without, in_turns, now, 5'000'000'000), look_pace::alone_nanoseconds);
  EXPECT_EQ(pause_after(without, held, now, 0), look_pace::alone_nanoseconds);
  EXPECT_EQ(pause_after(without, serving, now, 5'000'000'000), look_pace::restful_nanoseconds);
  EXPECT_EQ(pause_after(without, alone, now, 5'000'000'000), look_pace::steady_nanoseconds);
}

TEST_F(LookPace, IsOutOfStepButAsFastOnTheWhole) {
  constexpr std::int64_t pause = look_pace::hurried_nanoseconds;
  constexpr int looks = 1000;
  std::int64_t sum = 0;
  std::int64_t least = pause;
  std::int64_t most = pause;
  for (int i = 0; i < looks; ++i) {
    const std::int64_t one = pace.spread(pause);
    sum += one;
    least = std::min(least, one);
    most = std::max(most, one);
  }
  EXPECT_GE(least, pause - pause / 8);
  EXPECT_LT(least, pause - pause / 10);
  EXPECT_LE(most, pause + pause / 8);
  EXPECT_GT(most, pause + pause / 10);
  EXPECT_NEAR(static_cast<double>(sum / looks), static_cast<double>(pause), 0.02 * pause);
}

TEST(LookPaceTurns, AreEvenWhereManyStayAboutAsMany) {
  EXPECT_EQ(look_pace::rate_of(400, 4'000'000), 100);
  EXPECT_EQ(look_pace::rate_of(7, 0), 7'000'000);
  EXPECT_TRUE(look_pace::is_even(100, 100));
  EXPECT_TRUE(look_pace::is_even(0, look_pace::rate_min));
  EXPECT_TRUE(look_pace::is_even(100, 50));
  EXPECT_FALSE(look_pace::is_even(100, 49));
  EXPECT_FALSE(look_pace::is_even(0, look_pace::rate_min - 1));
  EXPECT_TRUE(look_pace::keeps_up(80, 70));
  EXPECT_FALSE(look_pace::keeps_up(80, 69));
  EXPECT_FALSE(look_pace::keeps_up(0, look_pace::rate_min - 1));
}

TEST(LookPaceTurns, SayWhenWhoKeepsTheProcessorBegan) {
  constexpr std::int64_t span = 4'000'000;
  EXPECT_EQ(look_pace::runs_since(100, 100, start, span), start);
  EXPECT_EQ(look_pace::runs_since(100, 90, start, span), start);
  EXPECT_EQ(look_pace::runs_since(100, 75, start, span), start - span / 4);
  EXPECT_EQ(look_pace::runs_since(100, 25, start, span), start - 3 * span / 4);
  EXPECT_EQ(look_pace::runs_since(100, 0, start, span), start - span);
  // Too few to tell.
  EXPECT_EQ(look_pace::runs_since(look_pace::rate_min - 1, 0, start, span), start);
}

}  // namespace
}  // namespace treadle::core
