// When naps last longer for a crowd of sleepers, and when no longer.
#include "treadle/sched/crowd.hpp"

#include <gtest/gtest.h>

namespace treadle::core {
namespace {

constexpr std::int64_t now = 1'000'000'000;
constexpr std::int64_t soon = now + 10'000;
constexpr std::int64_t longest = now + crowd::nap_nanoseconds;

// A nap after which `woken` of `sleepers` were woken; when it is to end.
std::int64_t nap(crowd& all, std::int64_t timer, std::size_t woken, std::size_t sleepers) {
  return all.gets_up(now, timer, woken, [sleepers] { return sleepers; });
}
std::int64_t crowded_nap(crowd& all) {
  return nap(all, soon, crowd::woken_min, crowd::sleepers_min);
}
void gather(crowd& all) {
  for (unsigned i = 0; i < crowd::naps_min; ++i) ASSERT_EQ(crowded_nap(all), soon) << i;
  ASSERT_TRUE(all.is_here());
}

TEST(Crowd, NapsLastLongerAfterSeveralInARow) {
  crowd all;
  EXPECT_FALSE(all.is_here());
  gather(all);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(crowded_nap(all), longest);
}

TEST(Crowd, ATimerThatIsFurtherAwayIsWaitedFor) {
  crowd all;
  gather(all);
  EXPECT_EQ(nap(all, longest, crowd::woken_min, crowd::sleepers_min), longest);
  EXPECT_FALSE(all.is_here());
  gather(all);
  EXPECT_EQ(nap(all, longest + 1, crowd::woken_min, crowd::sleepers_min), longest + 1);
  EXPECT_EQ(crowded_nap(all), soon);
}

TEST(Crowd, EndsWithANapForFew) {
  crowd all;
  gather(all);
  EXPECT_EQ(nap(all, soon, crowd::woken_min - 1, crowd::sleepers_min), soon);
  EXPECT_FALSE(all.is_here());
  gather(all);
}

TEST(Crowd, FewSleepersAreNone) {
  crowd all;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(nap(all, soon, crowd::sleepers_min - 1, crowd::sleepers_min - 1), soon);
    EXPECT_FALSE(all.is_here());
  }
}

TEST(Crowd, OneNapForFewBeginsTheRowAnew) {
  crowd all;
  for (unsigned i = 1; i < crowd::naps_min; ++i) EXPECT_EQ(crowded_nap(all), soon);
  EXPECT_EQ(nap(all, soon, 0, crowd::sleepers_min), soon);
  gather(all);
}

}  // namespace
}  // namespace treadle::core
