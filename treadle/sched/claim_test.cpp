// Every interleaving of a processor's holder with those who want it.
//
// The holder goes in and out of the scheduler as fiber_scheduler does: announce, look, reclaim when
// the word is not simply its own. Takers do as many_to_many does: suspect, fence, look at the
// announcement, then take, let go or drop. Checked in every schedule: nobody else holds the
// processor while the holder uses it, and at the end it has one holder who knows.
#include "treadle/sched/claim.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "tests/support/interleave.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

using explored_claim = basic_claim<explored_atomic>;

constexpr std::uint32_t holder = 1;

struct state {
  state() { word.begin(holder); }

  // The holder's enter(). False when it has lost the processor.
  bool enter() {
    inside.store(1);
    explored_claim::seen before{};
    if (word.is_held_by(holder)) return true;
    if (!word.reclaim(holder, before)) return false;
    if (before.state() == hold::released) get_up();
    return true;
  }
  // What the holder does between enter() and leave(), or nothing when it has lost the processor.
  bool use() {
    const bool mine = enter();
    if (mine) work(holder);
    inside.store(0);
    return mine;
  }
  // The same, and the processor is released on the way out.
  bool use_and_release() {
    const bool mine = enter();
    if (mine) {
      work(holder);
      lie_down();
      word.release(holder, 2);
    }
    inside.store(0);
    return mine;
  }
  // The same, and the holder goes idle with the processor and sleeps there.
  bool use_and_sleep() {
    const bool mine = enter();
    if (mine) {
      work(holder);
      lie_down();
    }
    return mine;
  }
  // The book of the idle has one bit for the processor.
  void lie_down() { require(asleep.exchange(1) == 0, "two lie down"); }
  void get_up() { require(asleep.exchange(0) == 1, "nobody lay there"); }
  void work(std::uint32_t who) {
    // Two explored operations, so that another thread can come in between.
    require(user.load() == 0, "two use the processor");
    user.store(static_cast<int>(who));
    require(user.load() == static_cast<int>(who), "another one came in");
    user.store(0);
  }

  // A spare that was told to look at the processor. True when it has it.
  bool verify_and_take(std::uint32_t me) {
    explored_claim::seen now = word.look();
    if (now.holder() != holder || !word.suspect(now)) return false;
    if (inside.load() != 0) {
      static_cast<void>(word.drop_suspicion(now));
      return false;
    }
    if (!word.take(now, me)) return false;
    work(me);
    return true;
  }
  // The same with nothing to run.
  bool verify_and_let_go() {
    explored_claim::seen now = word.look();
    if (now.holder() != holder || !word.suspect(now)) return false;
    if (inside.load() != 0) {
      static_cast<void>(word.drop_suspicion(now));
      return false;
    }
    if (!word.take(now, 2)) return false;
    lie_down();
    word.release_to(2, holder, 2);
    return true;
  }
  bool take_released(std::uint32_t me) {
    explored_claim::seen now = word.look();
    if (now.state() != hold::released || !word.take(now, me)) return false;
    get_up();
    work(me);
    return true;
  }

  explored_claim word;
  explored_atomic<int> inside{0};
  explored_atomic<int> asleep{0};
  explored_atomic<int> user{0};
  // Plain: each written by one thread, read at the end.
  std::array<bool, 3> took{};
  bool lost = false;
};

void check_end(state& s) {
  int takers = 0;
  std::uint32_t last = holder;
  for (std::uint32_t i = 0; i < s.took.size(); ++i) {
    if (s.took[i]) {
      ++takers;
      last = i + 2;
    }
  }
  require(takers <= 1, "taken twice from one holder");
  require(!s.lost || takers == 1, "lost, and nobody has it");
  require(s.word.look().holder() == last, "the word names another holder");
}

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

void use_thrice(state& s) {
  for (int i = 0; i < 3 && !s.lost; ++i) s.lost = !s.use();
}

TEST(Claim, ASuspiciousTakerNeverMeetsTheHolder) {
  expect_good(explore<state>({}, {use_thrice, [](state& s) { s.took[0] = s.verify_and_take(2); }},
                             check_end));
}

TEST(Claim, TwoSuspiciousTakers) {
  expect_good(explore<state>({},
                             {[](state& s) {
                                for (int i = 0; i < 2 && !s.lost; ++i) s.lost = !s.use();
                              },
                              [](state& s) { s.took[0] = s.verify_and_take(2); },
                              [](state& s) { s.took[1] = s.verify_and_take(3); }},
                             check_end));
}

TEST(Claim, ReleasedIsTakenOnceOrTakenBack) {
  expect_good(explore<state>({},
                             {[](state& s) {
                                s.lost = !s.use_and_release();
                                if (!s.lost) s.lost = !s.use();
                              },
                              [](state& s) { s.took[0] = s.take_released(2); },
                              [](state& s) { s.took[1] = s.take_released(3); }},
                             check_end));
}

TEST(Claim, ReleaseAmidASuspicion) {
  expect_good(explore<state>({},
                             {[](state& s) {
                                s.lost = !s.use_and_release();
                                if (!s.lost) s.lost = !s.use();
                              },
                              [](state& s) { s.took[0] = s.verify_and_take(2); },
                              [](state& s) { s.took[1] = s.take_released(3); }},
                             check_end));
}

TEST(Claim, LetGoByAnotherThenTaken) {
  expect_good(explore<state>({},
                             {use_thrice,
                              [](state& s) {
                                if (s.verify_and_let_go()) s.took[0] = s.take_released(2);
                              },
                              [](state& s) { s.took[1] = s.take_released(3); }},
                             check_end));
}

// The holder comes back and goes idle itself, while another releases the processor for it.
void go_idle(state& s) { s.lost = !s.use_and_sleep(); }

TEST(Claim, LetGoByAnotherWhileTheHolderGoesIdle) {
  expect_good(explore<state>({}, {go_idle, [](state& s) { s.verify_and_let_go(); }}, [](state& s) {
    const explored_claim::seen last = s.word.look();
    require(s.asleep.load() == 1, "who holds it is not in the book");
    require(!s.lost || last.state() == hold::released, "lost, and nobody has it");
  }));
}

// Who lies down before it holds the processor is caught: the test can fail.
TEST(Claim, WhoeverLiesDownForABlockedHolderMeetsIt) {
  const verdict v = explore<state>({},
                                   {go_idle,
                                    [](state& s) {
                                      explored_claim::seen now = s.word.look();
                                      if (!s.word.suspect(now) || s.inside.load() != 0) return;
                                      s.lie_down();
                                      if (s.word.take(now, 2)) {
                                        s.word.release_to(2, holder, 2);
                                      } else {
                                        s.get_up();
                                      }
                                    }},
                                   [](state&) {});
  EXPECT_FALSE(v.good());
  EXPECT_NE(v.fault.find("two lie down"), std::string::npos) << v.report();
}

// The taker that does not look at the announcement is caught: the test can fail.
TEST(Claim, WithoutTheLookTheHolderIsMet) {
  const verdict v = explore<state>({},
                                   {[](state& s) { s.lost = !s.use(); },
                                    [](state& s) {
                                      explored_claim::seen now = s.word.look();
                                      if (!s.word.suspect(now) || !s.word.take(now, 2)) return;
                                      s.work(2);
                                      s.took[0] = true;
                                    }},
                                   check_end);
  EXPECT_FALSE(v.good());
  EXPECT_NE(v.fault.find("processor"), std::string::npos) << v.report();
}

TEST(Claim, GivenAwayAmidASuspicion) {
  expect_good(explore<state>({},
                             {[](state& s) {
                                s.inside.store(1);
                                explored_claim::seen before{};
                                const bool mine =
                                    s.word.is_held_by(holder) || s.word.reclaim(holder, before);
                                if (mine) {
                                  s.work(holder);
                                  s.word.give(holder, 3);
                                  s.took[1] = true;
                                }
                                s.inside.store(0);
                              },
                              [](state& s) { s.took[0] = s.verify_and_take(2); }},
                             check_end));
}

TEST(Claim, StatesAndHolders) {
  claim word;
  EXPECT_FALSE(word.is_held_by(1));
  word.begin(7);
  EXPECT_TRUE(word.is_held_by(7));
  EXPECT_FALSE(word.is_held_by(6));
  EXPECT_EQ(word.look().holder(), 7U);
  EXPECT_EQ(word.look().state(), hold::held);
  claim::seen now = word.look();
  EXPECT_FALSE(word.take(now, 8));  // held: must be suspected first
  EXPECT_TRUE(word.suspect(now));
  EXPECT_FALSE(word.is_held_by(7));
  claim::seen again = word.look();
  EXPECT_FALSE(word.suspect(again));  // one at a time
  claim::seen before{};
  EXPECT_TRUE(word.reclaim(7, before));
  EXPECT_EQ(before.state(), hold::suspected);
  EXPECT_FALSE(word.take(now, 8));  // too late
  word.release(7, 9);
  EXPECT_EQ(word.look().state(), hold::released);
  now = word.look();
  EXPECT_EQ(now.holder(), 7U);
  EXPECT_EQ(now.reserve(), 9U);
  EXPECT_TRUE(word.take(now, 8));
  EXPECT_FALSE(word.reclaim(7, before));
  EXPECT_TRUE(word.is_held_by(8));
  // A slow taker that looked when the same holder had it in the same state is refused.
  now = word.look();
  word.give(8, 7);
  word.give(7, 8);
  EXPECT_FALSE(word.suspect(now));
}

}  // namespace
}  // namespace treadle::core
