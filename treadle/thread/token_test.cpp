// Every interleaving of one owner and up to three wakers on the token.
//
// The owner parks as the schedulers do: consume a token, else publish "parked" and stop until
// somebody who owns it makes it ready. Checked in every schedule: no wake-up is lost (the owner
// would hang: a deadlock), a parked owner is made ready exactly once, at most one token is kept.
#include "treadle/thread/token.hpp"

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
using interleave::wait_until;

using explored_token = basic_token<explored_atomic>;

struct state {
  // What a fiber scheduler does.
  void park() {
    if (token.consume()) return;
    if (!token.publish_parked()) return;
    ++parked;
    wait_until([this] { return readied == parked; }, "parked");
  }
  void unpark() {
    if (token.unpark()) make_ready();
  }
  bool claim() {
    if (!token.claim_parked()) return false;
    make_ready();
    return true;
  }
  void make_ready() {
    ++readied;
    require(readied <= parked, "an owner that is not parked was made ready");
  }
  // Owner, at the end: is a token left? Consumes it.
  bool left_over() {
    require(token.word().peek() != explored_token::parked, "parked, and yet running");
    return token.consume();
  }

  explored_token token;
  // Plain: changed only by the owner before it stops, and by the one who owns the stopped owner.
  int parked = 0;
  int readied = 0;
  std::array<explored_atomic<int>, 3> conditions;
};

// A waker that says what it did before it unparks.
template <int Index>
void announce(state& s) {
  s.conditions[Index].store(1);
  s.unpark();
}

template <int Count>
void wait_for_all(state& s) {
  for (int i = 0; i < Count; ++i) {
    while (s.conditions[static_cast<std::size_t>(i)].load() == 0) {
      s.park();
    }
  }
}

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(Token, NoWakeUpIsLost) {
  expect_good(explore<state>({}, {wait_for_all<1>, announce<0>},
                             [](state& s) { require(s.parked == s.readied, "ready too often"); }));
}

TEST(Token, NoWakeUpIsLostAmongTwo) {
  expect_good(explore<state>({}, {wait_for_all<2>, announce<0>, announce<1>},
                             [](state& s) { require(s.parked == s.readied, "ready too often"); }));
}

TEST(Token, NoWakeUpIsLostAmongThree) {
#if defined(TREADLE_TSAN)
  GTEST_SKIP() << "one kernel thread explores: the sanitizer adds 40 s and sees nothing";
#endif
  expect_good(explore<state>({}, {wait_for_all<3>, announce<0>, announce<1>, announce<2>},
                             [](state& s) { require(s.parked == s.readied, "ready too often"); }));
}

TEST(Token, WeakExchangeMayFailForNoReason) {
  interleave::options bounds;
  bounds.spurious_failures_max = 2;
  expect_good(explore<state>(bounds, {wait_for_all<2>, announce<0>, announce<1>},
                             [](state& s) { require(s.parked == s.readied, "ready too often"); }));
}

TEST(Token, AtMostOneIsKept) {
  // Two unparks and one park: afterwards there is a token if the park used up none of them, or
  // one of two; never more than one.
  const auto unpark = [](state& s) { s.unpark(); };
  expect_good(explore<state>({}, {[](state& s) { s.park(); }, unpark, unpark}, [](state& s) {
    s.left_over();
    require(!s.left_over(), "two tokens were kept");
  }));
}

TEST(Token, OneUnparkForOneParkLeavesNothing) {
  expect_good(
      explore<state>({}, {[](state& s) { s.park(); }, [](state& s) { s.unpark(); }},
                     [](state& s) { require(!s.left_over(), "a token came from nowhere"); }));
}

TEST(Token, StickyAndIdempotent) {
  basic_token<> token;
  EXPECT_FALSE(token.consume());
  EXPECT_FALSE(token.unpark());
  EXPECT_FALSE(token.unpark());
  EXPECT_TRUE(token.consume());   // the first was kept
  EXPECT_FALSE(token.consume());  // and counted once
  EXPECT_FALSE(token.unpark());
  EXPECT_FALSE(token.publish_parked());  // a token in time: the park is over at once
  EXPECT_FALSE(token.consume());         // and used up
  EXPECT_TRUE(token.publish_parked());
  EXPECT_FALSE(token.consume());
  EXPECT_TRUE(token.unpark());  // the one who must make it ready
  EXPECT_FALSE(token.consume());
  EXPECT_FALSE(token.claim_parked());
  EXPECT_FALSE(token.consume());  // a failed claim leaves nothing
  EXPECT_TRUE(token.publish_parked());
  EXPECT_TRUE(token.claim_parked());
  EXPECT_FALSE(token.claim_parked());
  // A kernel thread that waits on the word itself is woken, never owned.
  bool asleep = false;
  EXPECT_TRUE(token.fall_asleep());
  EXPECT_FALSE(token.claim_parked());
  EXPECT_FALSE(token.unpark(&asleep));
  EXPECT_TRUE(asleep);
  EXPECT_FALSE(token.stay_awake());
  EXPECT_FALSE(token.consume());  // the wake-up was the token
  EXPECT_TRUE(token.fall_asleep());
  EXPECT_TRUE(token.stay_awake());
  EXPECT_FALSE(token.stay_awake());
  EXPECT_FALSE(token.unpark());
  EXPECT_FALSE(token.fall_asleep());  // a token in time
}

TEST(Token, AParkedOwnerHasOneClaimant) {
  // Claims leave no token, so only the unpark is sure to wake the owner.
  const auto claim = [](state& s) { static_cast<void>(s.claim()); };
  expect_good(explore<state>(
      {}, {[](state& s) { s.park(); }, [](state& s) { s.unpark(); }, claim, claim}, [](state& s) {
        require(s.parked == s.readied, "ready too often");
        require(!s.left_over() || s.parked == 1, "a claim left a token");
      }));
}

// What the end of a joined thread does: claim, or leave a token for an owner that is not there yet.
TEST(Token, ClaimElseUnparkLosesNothing) {
  expect_good(explore<state>({},
                             {[](state& s) {
                                while (s.conditions[0].load() == 0) {
                                  s.park();
                                }
                              },
                              [](state& s) {
                                s.conditions[0].store(1);
                                if (!s.claim()) s.unpark();
                              }},
                             [](state& s) { require(s.parked == s.readied, "ready too often"); }));
}

// What a kernel thread does that waits on the word itself, with a deadline.
struct timed_state {
  // True: token; false: timed out.
  bool park() {
    if (token.consume()) return true;
    if (!token.fall_asleep()) return true;
    // The sleep ends by the futex's wake or by the clock, whichever the explorer picks.
    if (interleave::choose(2) == 0) {
      wait_until([this] { return woken != 0; }, "asleep");
      require(!token.stay_awake(), "woken, and yet asleep");
      return true;
    }
    return !token.stay_awake();
  }
  void unpark() {
    bool asleep = false;
    require(!token.unpark(&asleep), "a kernel thread was taken for a parked one");
    if (asleep) ++woken;
  }
  explored_token token;
  int woken = 0;  // futex wakes; a waker that forgets one leaves the owner asleep
  explored_atomic<int> condition;
};

TEST(Token, TimeOutOrTokenNeverBothNorNeither) {
  const verdict v = explore<timed_state>(
      {},
      {[](timed_state& s) {
         // One token is under way: the owner must get it, in the wait or after the time-out.
         bool token = s.park();
         const bool first = token;
         if (!token) {
           while (s.condition.load() == 0) {
             wait_until([&] { return s.condition.peek() != 0; });
           }
           // The waker stores after its unpark, so the token must be there by now.
           token = s.token.consume();
         }
         require(token, "the token was lost in the time-out");
         require(!first || !s.token.consume(), "one unpark gave two tokens");
       },
       [](timed_state& s) {
         s.unpark();
         s.condition.store(1);
       }},
      [](timed_state& s) {
        require(s.woken <= 1, "woken twice");
        require(s.token.word().peek() == explored_token::none, "something is left");
      });
  expect_good(v);
}

}  // namespace
}  // namespace treadle::core
