// Every interleaving of the owner and two thieves on the slot: who swaps a pointer out owns it.
#include "treadle/queue/next_slot.hpp"

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
  int in = 0;     // times put into the slot
  int taken = 0;  // times got out
};

struct state {
  void put(item& one) {
    ++one.in;
    take(slot.put(&one));
  }
  static item* take(item* one) {
    if (one != nullptr) require(++one->taken <= one->in, "taken more often than put");
    return one;
  }
  void steal() {
    const item* seen = slot.look();
    item* got = slot.steal(seen);
    require(got == nullptr || got == seen, "a thief got what it did not look at");
    if (seen != nullptr) take(got);
  }
  void check() {
    take(slot.take());
    require(slot.look() == nullptr, "taken, and yet not empty");
    for (const item& one : items) {
      require(one.in == one.taken, "an item was lost");
    }
  }

  next_slot<item, explored_atomic> slot;
  std::array<item, 3> items;
};

TEST(NextSlot, OwnerAndTwoThieves) {
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.put(s.items[0]);
                                      s.put(s.items[1]);
                                      state::take(s.slot.take());
                                      s.put(s.items[2]);
                                      state::take(s.slot.take());
                                    },
                                    [](state& s) { s.steal(); }, [](state& s) { s.steal(); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(NextSlot, TheSameItemComesBack) {
  // A thread that was taken, ran and is ready again: a slow thief may take its second stay.
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.put(s.items[0]);
                                      if (item* own = state::take(s.slot.take())) s.put(*own);
                                      state::take(s.slot.take());
                                    },
                                    [](state& s) { s.steal(); }, [](state& s) { s.steal(); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(NextSlot, AloneItIsACell) {
  next_slot<item> slot;
  item a;
  item b;
  EXPECT_EQ(slot.take_alone(), nullptr);
  EXPECT_EQ(slot.put_alone(&a), nullptr);
  EXPECT_EQ(slot.put_alone(&b), &a);
  EXPECT_EQ(slot.look(), &b);
  EXPECT_EQ(slot.take_alone(), &b);
  EXPECT_EQ(slot.take(), nullptr);
}

}  // namespace
}  // namespace treadle::queue
