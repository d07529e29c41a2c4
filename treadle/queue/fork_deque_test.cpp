// Every interleaving of the owner and up to two thieves on deques of one, two and four slots.
//
// Each item must come out exactly once, the owner's pops youngest first, the thieves' oldest
// first. The hard case is the last item, so most programs here keep the deque near empty.
#include "treadle/queue/fork_deque.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/interleave.hpp"

namespace treadle::queue {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

struct item {
  int number = 0;
  int taken = 0;
};

template <std::int64_t Capacity>
struct state_of {
  state_of() {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].number = static_cast<int>(i);
    }
  }
  bool push() {
    const bool done = deque.push(&items[pushed]);
    pushed += done ? 1 : 0;
    return done;
  }
  static item* take(item* one) {
    if (one != nullptr) require(++one->taken == 1, "one item was taken twice");
    return one;
  }
  void check() {
    while (take(deque.pop()) != nullptr) {
    }
    require(deque.oldest() == nullptr, "drained, and yet not empty");
    for (std::size_t i = 0; i < items.size(); ++i) {
      require(items[i].taken == (i < pushed ? 1 : 0), "an item was lost");
    }
  }

  fork_deque<item, Capacity, explored_atomic> deque;
  std::array<item, 8> items;
  std::size_t pushed = 0;  // owner only
};

template <std::int64_t Capacity>
void thief(state_of<Capacity>& s) {
  const item* one = s.take(s.deque.steal());
  const item* two = s.take(s.deque.steal());
  require(one == nullptr || two == nullptr || one->number < two->number,
          "a thief got a younger item first");
}

TEST(ForkDeque, TheLastItemHasOneTaker) {
  using state = state_of<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push();
                                      state::take(s.deque.pop());
                                    },
                                    [](state& s) { state::take(s.deque.steal()); },
                                    [](state& s) { state::take(s.deque.steal()); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, OwnerAndOneThief) {
  using state = state_of<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push();
                                      s.push();
                                      const item* one = state::take(s.deque.pop());
                                      s.push();
                                      const item* two = state::take(s.deque.pop());
                                      require(one == nullptr || one->number == 1,
                                              "the owner got an older item first");
                                      require(two == nullptr || two->number == 2 || s.pushed == 2,
                                              "the owner did not get its youngest item");
                                      state::take(s.deque.pop());
                                      s.push();
                                      state::take(s.deque.pop());
                                    },
                                    thief<2>},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, OneSlotWraps) {
  using state = state_of<1>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      for (int i = 0; i < 5; ++i) {
                                        if (!s.push()) state::take(s.deque.pop());
                                      }
                                    },
                                    thief<1>},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, TwoThievesAndWrapping) {
  using state = state_of<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push();
                                      s.push();
                                      state::take(s.deque.pop());
                                      s.push();
                                      state::take(s.deque.pop());
                                    },
                                    thief<2>, [](state& s) { state::take(s.deque.steal()); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, NestedForksComeBackInOrderWhenNobodySteals) {
  fork_deque<item, 4> deque;
  std::array<item, 5> items;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(deque.push(&items[i]));
  }
  EXPECT_FALSE(deque.push(&items[4]));
  EXPECT_EQ(deque.pop_alone(), &items[3]);
  EXPECT_EQ(deque.pop(), &items[2]);
  EXPECT_EQ(deque.steal(), items.data());
  EXPECT_EQ(deque.pop(), &items[1]);
  EXPECT_EQ(deque.pop(), nullptr);
  EXPECT_EQ(deque.pop_alone(), nullptr);
  EXPECT_EQ(deque.steal(), nullptr);
  EXPECT_TRUE(deque.oldest() == nullptr);
}

}  // namespace
}  // namespace treadle::queue
