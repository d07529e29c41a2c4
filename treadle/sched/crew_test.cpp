// The kernel threads of M:N: what a spare is told, and where it wakes.
#include "treadle/sched/crew.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "treadle/sched/fiber_processor.hpp"

namespace treadle::core {
namespace {

cpu_set_t where(pid_t who) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(who, sizeof(set), &set), 0);
  return set;
}
cpu_set_t only(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return set;
}
bool operator==(const cpu_set_t& left, const cpu_set_t& right) { return CPU_EQUAL(&left, &right); }

// Its members are spares from the beginning, and again when they have been woken.
class Crew : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(crew_.open(1, 2, &Crew::member_main, this), 0); }
  void TearDown() override { crew_.close(); }

  crew_member& next_spare() {
    for (;;) {
      if (crew_member* found = crew_.take_spare()) return *found;
      std::this_thread::yield();  // the hirer makes one
    }
  }
  // Until it has noted what it was told, and where it may run.
  void wake(crew_member& one, bool as_spinner) {
    const unsigned before = woken_.load();
    one.wake(&processor_, as_spinner);
    woken_.wait(before);
  }

  crew crew_;
  fiber_processor processor_;
  std::atomic<unsigned> woken_{0};
  // Of the last one that was woken.
  crew_member::order told_{};
  cpu_set_t free_{};

 private:
  static void* member_main(void* argument) {
    auto& me = *static_cast<crew_member*>(argument);
    auto& home = *static_cast<Crew*>(me.home);
    me.probe.begin();
    for (;;) {
      home.crew_.put_spare(me);
      const crew_member::order given = me.wait();
      if (given.about == nullptr) return nullptr;
      home.told_ = given;
      home.free_ = where(0);
      home.woken_.fetch_add(1);
      home.woken_.notify_one();
    }
  }
};

TEST_F(Crew, ASpareIsToldWhatToDo) {
  for (const bool as_spinner : {false, true, false}) {
    wake(next_spare(), as_spinner);
    EXPECT_EQ(told_.about, &processor_);
    EXPECT_EQ(told_.as_spinner, as_spinner);
  }
}

TEST_F(Crew, ASpareThatIsDrawnWakesThereAndMayThenRunAnywhere) {
  const cpu_set_t all = where(0);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(static_cast<unsigned>(cpu), &all)) continue;
    crew_member& one = next_spare();
    one.draw_to(cpu);
    EXPECT_TRUE(where(one.probe.kernel_id()) == only(cpu)) << cpu;
    wake(one, false);
    EXPECT_TRUE(free_ == all) << cpu;
  }
}

TEST_F(Crew, ASpareIsNotDrawnWhereItMayNotRun) {
  const cpu_set_t all = where(0);
  constexpr int nowhere = CPU_SETSIZE - 1;
  if (CPU_ISSET(static_cast<unsigned>(nowhere), &all)) GTEST_SKIP() << "it may run everywhere";
  crew_member& one = next_spare();
  errno = EDOM;
  one.draw_to(nowhere);
  EXPECT_EQ(errno, EDOM);
  EXPECT_TRUE(where(one.probe.kernel_id()) == all);
  wake(one, true);
  EXPECT_TRUE(free_ == all);
  EXPECT_EQ(told_.about, &processor_);
}

TEST_F(Crew, AShortageIsCountedAndMended) {
  crew_member& first = next_spare();
  crew_member& second = next_spare();
  crew_member& third = next_spare();
  while (crew_.size() < 3) std::this_thread::yield();  // the last may be a spare before it counts
  EXPECT_EQ(crew_.size(), 3U);
  const std::uint64_t before = crew_.counters().shortages;
  EXPECT_EQ(crew_.take_spare(), nullptr);  // three is the most
  EXPECT_EQ(crew_.counters().shortages, before + 1);
  for (crew_member* each : {&first, &second, &third}) wake(*each, false);
  next_spare();
}

// Shortages while they are on their way make no more than are to spare at most.
TEST(CrewHirer, MembersThatHaveNotComeYetCount) {
  struct slow_crew {
    static void* member_main(void* argument) {
      auto& me = *static_cast<crew_member*>(argument);
      auto& home = *static_cast<slow_crew*>(me.home);
      home.may_come.wait(false);
      me.probe.begin();
      home.members.put_spare(me);
      const crew_member::order given = me.wait();
      EXPECT_EQ(given.about, nullptr);
      return nullptr;
    }
    crew members;
    std::atomic<bool> may_come{false};
  } home;
  constexpr unsigned spares_most = 8;
  ASSERT_EQ(home.members.open(1, 100, &slow_crew::member_main, &home), 0);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(home.members.take_spare(), nullptr);
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  EXPECT_GT(home.members.size(), 1U);
  EXPECT_LE(home.members.size(), 1 + spares_most);
  home.may_come = true;
  home.may_come.notify_all();
  home.members.close();
}

}  // namespace
}  // namespace treadle::core
