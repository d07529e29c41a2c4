// Every interleaving of a waiter that may leave and the one who completes: exactly one wins, and
// nobody touches a request that is the other's or gone.
#include "treadle/io/handover.hpp"

#include <gtest/gtest.h>

#include "tests/support/interleave.hpp"

namespace treadle::io {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

// A request whose memory is watched: who touches it after it was freed is found out.
struct state {
  void touch() const { require(freed == 0, "touched after it was freed"); }
  void free() {
    ++freed;
    require(freed == 1, "freed twice");
  }

  basic_handover<explored_atomic> word;
  explored_atomic<int> result;
  explored_atomic<int> unparked;
  int freed = 0;  // plain: changed by the one who owns the request
  bool left = false;
  bool got = false;
  bool undone = false;
};

void complete(state& s) {
  s.touch();
  s.result.store(7);
  s.touch();
  if (s.word.complete()) {
    s.unparked.store(1);  // the waiter's record, which is never freed
  } else {
    s.touch();
    s.undone = true;
    s.free();
  }
}

void take(state& s) {
  s.touch();
  require(s.result.load() == 7, "done without the result");
  s.got = true;
  s.free();
}

void check(state& s) {
  require(s.freed == 1, "not freed exactly once");
  require(s.got != s.left, "not exactly one of done and given up");
  require(s.undone == s.left, "what was left behind was not undone");
}

TEST(Handover, OfCompletingAndLeavingExactlyOneWins) {
  const verdict v = explore<state>({},
                                   {[](state& s) { complete(s); },
                                    [](state& s) {
                                      if (s.word.is_done()) return take(s);
                                      if (s.word.give_up()) {
                                        s.left = true;
                                      } else {
                                        take(s);
                                      }
                                    }},
                                   check);
  EXPECT_TRUE(v.good()) << v.report();
  EXPECT_GE(v.schedules, 3U);
}

TEST(Handover, AWaiterThatStaysIsUnparkedWithTheResult) {
  const verdict v =
      explore<state>({},
                     {[](state& s) { complete(s); },
                      [](state& s) {
                        wait_until([&s] { return s.unparked.peek() == 1; }, "unparked");
                        require(s.word.is_done(), "unparked before it was done");
                        take(s);
                      }},
                     check);
  EXPECT_TRUE(v.good()) << v.report();
}

}  // namespace
}  // namespace treadle::io
