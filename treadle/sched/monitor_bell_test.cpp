// A monitor that goes to sleep against those who begin: it misses nobody, in every interleaving.
#include "treadle/sched/monitor_bell.hpp"

#include <gtest/gtest.h>

#include "tests/support/explored_futex.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::verdict;
using interleave::wait_until;

// One worker, which is idle, and one member, which has no probe yet; as many_to_many::vigil does.
struct world {
  // Rounds until all that are wanted have been met.
  void monitor(bool wants_member, bool wants_worker, bool wants_end) {
    for (;;) {
      const std::uint32_t looked = bell.look();
      const bool met = begun.load() != 0;
      const bool works = up.load() != 0;
      const bool ends = closing.load() != 0;
      if ((met || !wants_member) && (works || !wants_worker) && (ends || !wants_end)) return;
      if (works || ends) {
        // For a while, after which it looks again.
        wait_until([=, this] {
          return (begun.peek() != 0) != met || (up.peek() != 0) != works ||
                 (closing.peek() != 0) != ends;
        });
      } else {
        sleep(looked);
      }
    }
  }
  void sleep(std::uint32_t looked) {
    if (reads_bell_again) looked = bell.look();
    bell.begin_sleep();
    if (up.load() == 0 && closing.load() == 0) bell.wait(looked, base::deadline::never());
    bell.end_sleep();
  }

  void begin_work() {
    up.store(1);
    if (bell.is_dormant()) bell.ring();
  }
  void begin_work_unlisted() {
    const bool dormant = bell.is_dormant();
    up.store(1);
    if (dormant) bell.ring();
  }
  void begin_probe() {
    begun.store(1);
    bell.ring();
  }
  void close() {
    closing.store(1);
    bell.ring();
  }

  basic_monitor_bell<explored_atomic> bell;
  explored_atomic<int> up{0};
  explored_atomic<int> begun{0};
  explored_atomic<int> closing{0};
  bool reads_bell_again = false;
};

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  ::testing::Test::RecordProperty("schedules", static_cast<int>(v.schedules));
}

TEST(MonitorBell, EndsTheWaitOfAMonitorThatHasNotSeenIt) {
  monitor_bell bell;
  const std::uint32_t looked = bell.look();
  EXPECT_FALSE(bell.is_dormant());
  bell.begin_sleep();
  EXPECT_TRUE(bell.is_dormant());
  bell.ring();
  EXPECT_FALSE(bell.is_dormant());
  bell.wait(looked, base::deadline::never());
  bell.end_sleep();
}

TEST(MonitorBell, WakesForAWorkerThatBegins) {
  expect_good(explore<world>(
      {}, {[](world& s) { s.monitor(false, true, false); }, [](world& s) { s.begin_work(); }},
      [](world&) {}));
}

TEST(MonitorBell, WakesForAMemberThatBeginsWhileAllAreIdle) {
  expect_good(explore<world>(
      {}, {[](world& s) { s.monitor(true, false, false); }, [](world& s) { s.begin_probe(); }},
      [](world&) {}));
}

TEST(MonitorBell, WakesForBoth) {
  expect_good(explore<world>({},
                             {[](world& s) { s.monitor(true, true, false); },
                              [](world& s) { s.begin_work(); }, [](world& s) { s.begin_probe(); }},
                             [](world&) {}));
}

TEST(MonitorBell, WakesForTheEndBesideAMember) {
  expect_good(explore<world>({},
                             {[](world& s) { s.monitor(true, false, true); },
                              [](world& s) { s.begin_probe(); }, [](world& s) { s.close(); }},
                             [](world&) {}));
}

// As it was: the test can fail.
TEST(MonitorBell, ReadAgainBeforeTheSleepItMissesAMember) {
  const verdict v = explore<world>({},
                                   {[](world& s) {
                                      s.reads_bell_again = true;
                                      s.monitor(true, false, false);
                                    },
                                    [](world& s) { s.begin_probe(); }},
                                   [](world&) {});
  EXPECT_FALSE(v.good());
}

TEST(MonitorBell, AWorkerThatLooksBeforeItLeavesTheBookIsMissed) {
  const verdict v = explore<world>(
      {},
      {[](world& s) { s.monitor(false, true, false); }, [](world& s) { s.begin_work_unlisted(); }},
      [](world&) {});
  EXPECT_FALSE(v.good());
}

}  // namespace
}  // namespace treadle::core
