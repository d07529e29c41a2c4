// Who dozes for all, and when somebody must be woken to do so; at the end in every interleaving.
#include "treadle/sched/dozers.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/explored_futex.hpp"
#include "treadle/sched/idle_workers.hpp"

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

using interleave::explore;
using interleave::explored_atomic;
using interleave::verdict;

constexpr unsigned one_place = dozers::looks_max;  // processors beside which one dozes at a time

// Beside busy workers one dozes, one sleeps or is about to, and one spins or does not; as
// many_to_many::nap(), find_dozer() and wait_for_work() do.
struct world {
  world() { first_dozes = dozers.begin(one_place); }

  // The sleeper, until it dozes.
  void sleep() {
    for (;;) {
      idle.lie_down(0);
      const bool dozes = dozers.begin(one_place);
      if (dozes) return;
      base::absence away;
      idle.sleep(0, base::deadline::never(), away);
      dozers.end(false);
      if (idle.get_up(0)) leave_spin();
    }
  }
  // The dozer, with work.
  void leave_doze() {
    dozers.end(first_dozes);
    find_dozer();
  }
  void spin() { spins = idle.start_spinning(); }
  void leave_spin() {
    idle.stop_spinning();
    if (dozers.is_vacant()) find_dozer();
  }
  void find_dozer() {
    if (!dozers.is_missing()) return;
    dozers.mark_vacant();
    if (idle.anybody_sleeps()) idle.wake_one(true);
  }

  basic_dozers<explored_atomic> dozers;
  basic_idle_workers<explored_atomic, 1> idle;
  bool first_dozes = false;
  bool spins = false;
};

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(Dozers, OfALeaverAndASleeperOneSeesTheOther) {
  expect_good(explore<world>({}, {[](world& s) { s.sleep(); }, [](world& s) { s.leave_doze(); }},
                             [](world&) {}));
}

TEST(Dozers, WhoSpunLooksForThePlaceThatNobodyCouldBeWokenFor) {
  expect_good(explore<world>({},
                             {[](world& s) { s.sleep(); }, [](world& s) { s.leave_doze(); },
                              [](world& s) {
                                s.spin();
                                if (s.spins) s.leave_spin();
                              }},
                             [](world&) {}));
}

// Who has spun and does not look is caught: the test can fail.
TEST(Dozers, WithoutThatLookOneSleepsOn) {
  const verdict v = explore<world>({},
                                   {[](world& s) { s.sleep(); }, [](world& s) { s.leave_doze(); },
                                    [](world& s) {
                                      s.spin();
                                      if (s.spins) s.idle.stop_spinning();
                                    }},
                                   [](world&) {});
  EXPECT_FALSE(v.good());
}

}  // namespace
}  // namespace treadle::core
