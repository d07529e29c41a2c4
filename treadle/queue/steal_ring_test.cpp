// Every interleaving of the owner and up to two thieves on rings of two and four slots.
//
// Each item must come out exactly once: a taken item counts itself, and the rings are drained at
// the end of each schedule. Bounds are small, but a ring of two slots wraps at once, and the
// algorithm has no case that needs more.
#include "treadle/queue/steal_ring.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

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

template <std::uint64_t Capacity>
struct rings {
  using ring = steal_ring<item, Capacity, explored_atomic>;

  rings() {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].number = static_cast<int>(i);
    }
  }

  bool push(std::size_t index) {
    const bool done = owner.push(&items[index]);
    pushed += done ? 1 : 0;
    return done;
  }
  static bool take(item* one) {
    if (one == nullptr) return false;
    require(++one->taken == 1, "one item was taken twice");
    return true;
  }
  // For the end of a schedule: nothing runs any more.
  void check() {
    for (ring* each : {&owner, &thief, &second_thief}) {
      while (take(each->pop())) {
      }
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      require(items[i].taken == (i < pushed ? 1 : 0), "an item was lost");
    }
  }

  ring owner;
  ring thief;
  ring second_thief;
  std::array<item, 8> items;
  std::size_t pushed = 0;  // owner only; items go in by index
};

template <class Ring>
void steal(Ring& from, Ring& into) {
  std::uint64_t count = 99;  // must be set even when there is nothing
  item* first = from.steal_half_into(into, count);
  require((first == nullptr) == (count == 0), "the count does not fit the result");
  if (first == nullptr) return;
  rings<Ring::capacity>::take(first);
  // What was taken is a run of the victim's order, and the rest of it is in the thief's ring.
  int expected = first->number;
  for (std::uint64_t i = 1; i < count; ++i) {
    item* next = into.pop();
    require(next != nullptr, "a stolen item is not in the thief's ring");
    rings<Ring::capacity>::take(next);
    require(next->number == ++expected, "stolen items are out of order");
  }
}

TEST(StealRing, OwnerAndOneThief) {
  using state = rings<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push(0);
                                      s.push(1);
                                      state::take(s.owner.pop());
                                      s.push(s.pushed);
                                      s.push(s.pushed);
                                      state::take(s.owner.pop());
                                      s.push(s.pushed);
                                    },
                                    [](state& s) {
                                      steal(s.owner, s.thief);
                                      steal(s.owner, s.thief);
                                      steal(s.owner, s.thief);
                                    }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(StealRing, OwnerWrapsWhileAThiefHalves) {
  using state = rings<4>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      for (int i = 0; i < 3; ++i) {
                                        s.push(s.pushed);
                                        s.push(s.pushed);
                                        state::take(s.owner.pop());
                                      }
                                    },
                                    [](state& s) {
                                      steal(s.owner, s.thief);
                                      steal(s.owner, s.thief);
                                    }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

// As above, but with four items in the ring at the start: every push meets a full ring first.
struct full_rings : rings<4> {
  full_rings() {
    for (std::size_t i = 0; i < 4; ++i) {
      push(i);
    }
  }
};

TEST(StealRing, FullRing) {
  using state = full_rings;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      while (!s.push(s.pushed)) {
                                        if (!state::take(s.owner.pop())) break;
                                      }
                                      state::take(s.owner.pop());
                                      s.push(s.pushed);
                                    },
                                    [](state& s) { steal(s.owner, s.thief); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(StealRing, TwoThieves) {
  using state = full_rings;
  const verdict v = explore<state>(
      {},
      {[](state& s) {
         state::take(s.owner.pop());
         s.push(s.pushed);
         state::take(s.owner.pop());
       },
       [](state& s) { steal(s.owner, s.thief); }, [](state& s) { steal(s.owner, s.second_thief); }},
      [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(StealRing, AThiefIsRobbedWhileItSteals) {
  using state = full_rings;
  const verdict v =
      explore<state>({},
                     {[](state& s) {
                        state::take(s.owner.pop());
                        s.push(s.pushed);
                      },
                      [](state& s) {
                        std::uint64_t count = 99;  // must be set even when there is nothing
                        state::take(s.owner.steal_half_into(s.thief, count));
                        state::take(s.thief.pop());
                      },
                      [](state& s) {
                        std::uint64_t count = 99;  // must be set even when there is nothing
                        state::take(s.thief.steal_half_into(s.second_thief, count));
                      }},
                     [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(StealRing, WeakExchangeMayFailForNoReason) {
  using state = full_rings;
  interleave::options bounds;
  bounds.spurious_failures_max = 2;
  const verdict v = explore<state>(bounds,
                                   {[](state& s) {
                                      require(state::take(s.owner.pop()), "pop gave up");
                                      s.push(s.pushed);
                                    },
                                    [](state& s) { steal(s.owner, s.thief); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

// A thief that slept over more than a whole turn of the ring must not write over its own items:
// the size it sees is nonsense. Two preemptions reach every such case.
TEST(StealRing, AStaleThiefKeepsItsOwnItems) {
  struct state : full_rings {
    state() {
      for (std::size_t i = 0; i < own.size(); ++i) {
        own[i].number = static_cast<int>(100 + i);
        require(thief.push(&own[i]), "the thief's ring is full");
      }
    }
    std::array<item, 2> own;
  };
  interleave::options bounds;
  bounds.preemptions_max = 2;
  const verdict v =
      explore<state>(bounds,
                     {[](state& s) {
                        for (int i = 0; i < 4; ++i) {
                          if (state::take(s.owner.pop())) s.push(s.pushed);
                        }
                      },
                      [](state& s) {
                        std::uint64_t count = 0;
                        state::take(s.owner.steal_half_into(s.thief, count));
                        for (item& mine : s.own) {
                          require(s.thief.pop() == &mine, "the thief lost an item of its own");
                        }
                      }},
                     [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

// No interleaving here: what a thief gets when nobody moves.
TEST(StealRing, HalvesExactly) {
  constexpr std::uint64_t capacity = 8;
  std::array<item, capacity> items;
  for (std::uint64_t size = 0; size <= capacity; ++size) {
    for (std::uint64_t start = 0; start <= capacity; ++start) {
      steal_ring<item, capacity> victim;
      steal_ring<item, capacity> mine;
      for (std::uint64_t i = 0; i < start; ++i) {  // so that the items wrap
        ASSERT_TRUE(victim.push(items.data()));
        ASSERT_EQ(victim.pop(), items.data());
      }
      for (std::uint64_t i = 0; i < size; ++i) {
        ASSERT_TRUE(victim.push(&items[i]));
      }
      std::uint64_t taken = 0;
      item* first = victim.steal_half_into(mine, taken);
      EXPECT_EQ(taken, (size + 1) / 2);
      EXPECT_EQ(victim.size(), size / 2);
      EXPECT_EQ(first, size == 0 ? nullptr : items.data());
      EXPECT_EQ(mine.size(), taken == 0 ? 0 : taken - 1);
      for (std::uint64_t i = 1; i < taken; ++i) {
        EXPECT_EQ(mine.pop(), &items[i]);
      }
      for (std::uint64_t i = taken; i < size; ++i) {
        EXPECT_EQ(victim.pop(), &items[i]);
      }
      EXPECT_EQ(victim.pop(), nullptr);
      EXPECT_EQ(mine.pop(), nullptr);
    }
  }
}

TEST(StealRing, RefusesWhenFullAndKeepsOrder) {
  steal_ring<item, 4> ring;
  std::array<item, 5> items;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(ring.push(&items[i]));
  }
  EXPECT_FALSE(ring.push(&items[4]));
  EXPECT_EQ(ring.pop_alone(), items.data());
  EXPECT_TRUE(ring.push(&items[4]));
  for (std::size_t i = 1; i < 5; ++i) {
    EXPECT_EQ(ring.pop_alone(), &items[i]);
  }
  EXPECT_EQ(ring.pop_alone(), nullptr);
}

}  // namespace
}  // namespace treadle::queue
