// Who dozes for all, and when somebody must be woken to do so.
#include "treadle/sched/dozers.hpp"

#include <gtest/gtest.h>

namespace treadle::core {
namespace {

constexpr unsigned wide = 1024;

TEST(Dozers, AreAllWhereProcessorsAreFew) {
  for (unsigned width = 1; width <= 64; ++width) EXPECT_EQ(dozers::most(width), width);
}

TEST(Dozers, LookAtNoMoreTogetherWhereProcessorsAreMany) {
  for (unsigned width = 65; width <= wide; ++width) {
    EXPECT_GE(dozers::most(width), 1U);
    EXPECT_LE(dozers::most(width) * width, dozers::looks_max);
  }
}

TEST(Dozers, AreNotMissingWhereNobodySleepsSoundly) {
  dozers all;
  EXPECT_FALSE(all.anybody());
  EXPECT_FALSE(all.is_missing());
  EXPECT_TRUE(all.begin(2));
  EXPECT_TRUE(all.anybody());
  all.end(true);
  EXPECT_FALSE(all.anybody());
  EXPECT_FALSE(all.is_missing());
}

TEST(Dozers, AreMissingWhenTheLastLeavesWhileOthersSleep) {
  dozers all;
  for (unsigned i = 0; i < dozers::most(wide); ++i) EXPECT_TRUE(all.begin(wide));
  EXPECT_FALSE(all.begin(wide));
  for (unsigned i = 0; i < dozers::most(wide); ++i) {
    EXPECT_FALSE(all.is_missing());
    all.end(true);
  }
  EXPECT_TRUE(all.is_missing());
  all.end(false);
  EXPECT_FALSE(all.is_missing());
}

TEST(Dozers, FillAVacantPlace) {
  dozers all;
  for (unsigned i = 0; i < dozers::most(wide); ++i) EXPECT_TRUE(all.begin(wide));
  EXPECT_FALSE(all.begin(wide));
  for (unsigned i = 0; i < dozers::most(wide); ++i) all.end(true);
  EXPECT_FALSE(all.is_vacant());
  all.mark_vacant();
  EXPECT_TRUE(all.is_vacant());
  all.end(false);  // who slept soundly is woken, and finds nothing
  EXPECT_TRUE(all.is_vacant());
  EXPECT_TRUE(all.begin(wide));
  EXPECT_FALSE(all.is_vacant());
  EXPECT_FALSE(all.is_missing());
}

}  // namespace
}  // namespace treadle::core
