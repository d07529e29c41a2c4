// The explorer must find the classic mistakes, and must count exactly: a search that silently
// leaves schedules out would make every test that is built on it worthless.
#include "tests/support/interleave.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace treadle::interleave {
namespace {

using word = explored_atomic<int>;

options every_schedule() {
  options bounds;
  bounds.sleep_sets = false;
  return bounds;
}

// Two threads of n and m operations each.
template <int N, int M, bool SameWord>
verdict count_two(const options& bounds) {
  struct state {
    word a;
    word b;
  };
  return explore<state>(bounds,
                        {[](state& s) {
                           for (int i = 0; i < N; ++i) {
                             s.a.store(i);
                           }
                         },
                         [](state& s) {
                           for (int i = 0; i < M; ++i) {
                             (SameWord ? s.a : s.b).store(i);
                           }
                         }},
                        [](state&) {});
}

TEST(Interleave, CountsEverySchedule) {
  // n and m steps interleave in (n+m)! / (n! m!) ways.
  EXPECT_EQ((count_two<1, 1, true>(every_schedule()).schedules), 2U);
  EXPECT_EQ((count_two<2, 2, true>(every_schedule()).schedules), 6U);
  EXPECT_EQ((count_two<3, 2, false>(every_schedule()).schedules), 10U);
  const verdict large = count_two<6, 6, false>(every_schedule());
  EXPECT_EQ(large.schedules, 924U);
  EXPECT_TRUE(large.good()) << large.report();
}

TEST(Interleave, CountsThreeThreads) {
  struct state {
    word a;
  };
  const auto twice = [](state& s) {
    s.a.fetch_add(1);
    s.a.fetch_add(1);
  };
  const verdict v = explore<state>(every_schedule(), {twice, twice, twice},
                                   [](state& s) { require(s.a.peek() == 6, "six"); });
  EXPECT_EQ(v.schedules, 90U);  // 6! / (2! 2! 2!)
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(Interleave, SleepSetsKeepOneOfEachEquivalentSchedule) {
  // Different words commute in every order: one schedule stands for all.
  EXPECT_EQ((count_two<6, 6, false>({}).schedules), 1U);
  // Writes to one word never commute: nothing may be left out.
  EXPECT_EQ((count_two<3, 3, true>({}).schedules), 20U);
}

TEST(Interleave, SleepSetsKeepEveryOutcome) {
  struct state {
    word x;
    word y;
    int first = -1;
    int second = -1;
  };
  for (const bool pruned : {false, true}) {
    std::set<std::pair<int, int>> outcomes;
    options bounds;
    bounds.sleep_sets = pruned;
    const verdict v = explore<state>(bounds,
                                     {[](state& s) {
                                        s.x.store(1);
                                        s.first = s.y.load();
                                      },
                                      [](state& s) {
                                        s.y.store(1);
                                        s.second = s.x.load();
                                      }},
                                     [&](state& s) { outcomes.emplace(s.first, s.second); });
    EXPECT_TRUE(v.good()) << v.report();
    // 0,0 needs a store buffer: this explorer is sequentially consistent and never shows it.
    EXPECT_EQ(outcomes, (std::set<std::pair<int, int>>{{0, 1}, {1, 0}, {1, 1}}));
    EXPECT_EQ(v.schedules, pruned ? 3U : 6U);
  }
}

TEST(Interleave, PreemptionBoundLimitsTheSearch) {
  options bounds;
  bounds.preemptions_max = 0;
  EXPECT_EQ((count_two<3, 3, true>(bounds).schedules), 2U);
  bounds.preemptions_max = 1;
  // One preemption: who starts (2), after which of its first two steps it is interrupted (2),
  // or not at all (1).
  EXPECT_EQ((count_two<3, 3, true>(bounds).schedules), 6U);
}

TEST(Interleave, ScheduleBoundIsReported) {
  options bounds = every_schedule();
  bounds.schedules_max = 10;
  const verdict v = count_two<6, 6, false>(bounds);
  EXPECT_EQ(v.schedules, 10U);
  EXPECT_FALSE(v.good());
}

TEST(Interleave, FindsALostUpdate) {
  struct state {
    explored_plain<int> counter;
  };
  const auto add = [](state& s) { s.counter.set(s.counter.get() + 1); };
  const verdict v = explore<state>(
      {}, {add, add}, [](state& s) { require(s.counter.peek() == 2, "an update was lost"); });
  EXPECT_EQ(v.fault, "an update was lost");
  EXPECT_NE(v.trace.find("thread 1: load of word 0 -> 0"), std::string::npos) << v.trace;
}

TEST(Interleave, FindsALostUpdateOnlyWithinThePreemptionBound) {
  struct state {
    explored_plain<int> counter;
  };
  const auto add = [](state& s) { s.counter.set(s.counter.get() + 1); };
  options bounds;
  bounds.preemptions_max = 0;
  const auto check = [](state& s) { require(s.counter.peek() == 2, "an update was lost"); };
  EXPECT_TRUE(explore<state>(bounds, {add, add}, check).good());
  bounds.preemptions_max = 1;
  EXPECT_FALSE(explore<state>(bounds, {add, add}, check).good());
}

// A stack of array cells linked by index; 0 is the empty one. pop() is the textbook ABA mistake.
struct aba_stack {
  aba_stack() {
    next[2] = 1;
    head = 2;
  }
  int pop() {
    int top = head.load();
    while (top != 0) {
      const int below = next[static_cast<std::size_t>(top)].load();
      if (head.compare_exchange_strong(top, below)) {
        return top;
      }
    }
    return 0;
  }
  void push(int cell) {
    int top = head.load();
    do {
      next[static_cast<std::size_t>(cell)].store(top);
    } while (!head.compare_exchange_strong(top, cell));
  }
  word head;
  std::array<word, 3> next;
  std::array<int, 3> owners{};
};

TEST(Interleave, FindsAnAba) {
  const verdict v = explore<aba_stack>(
      {},
      {[](aba_stack& s) {
         const int a = s.pop();
         s.owners[static_cast<std::size_t>(a)] += 1;
         require(a == 0 || s.owners[static_cast<std::size_t>(a)] == 1, "one cell, two owners");
       },
       [](aba_stack& s) {
         const int a = s.pop();
         const int b = s.pop();
         if (b != 0) {
           s.owners[static_cast<std::size_t>(b)] += 1;  // kept
         }
         if (a != 0) {
           s.push(a);
         }
       }},
      [](aba_stack& s) {
        const int top = s.head.peek();
        require(top == 0 || s.owners[static_cast<std::size_t>(top)] == 0,
                "an owned cell is on the stack");
      });
  EXPECT_FALSE(v.fault.empty()) << v.report();
}

// The sleeper looks and then sleeps in two steps; the waker comes in between.
struct wake_state {
  word flag;
  word sleeping;
  word wakes;
};

TEST(Interleave, FindsALostWakeUp) {
  const verdict v = explore<wake_state>({},
                                        {[](wake_state& s) {
                                           if (s.flag.load() == 0) {
                                             s.sleeping.store(1);
                                             wait_until([&] { return s.wakes.peek() != 0; });
                                           }
                                         },
                                         [](wake_state& s) {
                                           s.flag.store(1);
                                           if (s.sleeping.load() == 1) {
                                             s.wakes.store(1);
                                           }
                                         }},
                                        [](wake_state&) {});
  EXPECT_NE(v.fault.find("deadlock"), std::string::npos) << v.report();
}

TEST(Interleave, AcceptsTheRightWakeUp) {
  // The sleeper says so first and looks again: no schedule loses the wake-up.
  const verdict v = explore<wake_state>({},
                                        {[](wake_state& s) {
                                           s.sleeping.store(1);
                                           if (s.flag.load() == 0) {
                                             wait_until([&] { return s.wakes.peek() != 0; });
                                           }
                                         },
                                         [](wake_state& s) {
                                           s.flag.store(1);
                                           if (s.sleeping.load() == 1) {
                                             s.wakes.store(1);
                                           }
                                         }},
                                        [](wake_state&) {});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(Interleave, AtomicWaitNeedsANotify) {
  struct state {
    word flag;
  };
  const auto sleeper = [](state& s) { s.flag.wait(0); };
  const auto check = [](state&) {};
  const verdict silent = explore<state>({}, {sleeper, [](state& s) { s.flag.store(1); }}, check);
  EXPECT_NE(silent.fault.find("deadlock"), std::string::npos) << silent.report();
  const auto waker = [](state& s) {
    s.flag.store(1);
    s.flag.notify_one();
  };
  EXPECT_TRUE(explore<state>({}, {sleeper, waker}, check).good());
  // One notify for two sleepers: whichever is chosen, the other may hang.
  EXPECT_FALSE(explore<state>({}, {sleeper, sleeper, waker}, check).good());
  const auto wake_all = [](state& s) {
    s.flag.store(1);
    s.flag.notify_all();
  };
  EXPECT_TRUE(explore<state>({}, {sleeper, sleeper, wake_all}, check).good());
}

TEST(Interleave, PauseEndsASpin) {
  struct state {
    word flag;
  };
  const auto spin = [](state& s) {
    while (s.flag.load() == 0) {
      pause();
    }
  };
  const verdict v = explore<state>({}, {spin, [](state& s) { s.flag.store(1); }}, [](state&) {});
  EXPECT_TRUE(v.good()) << v.report();
  const verdict alone = explore<state>({}, {spin}, [](state&) {});
  EXPECT_NE(alone.fault.find("deadlock"), std::string::npos);
}

TEST(Interleave, EndlessSpinIsNotCalledComplete) {
  struct state {
    word flag;
  };
  options bounds;
  bounds.steps_max = 50;
  const verdict v = explore<state>(bounds, {[](state& s) {
                                     while (s.flag.load() == 0) {
                                     }
                                   }},
                                   [](state&) {});
  EXPECT_FALSE(v.complete);
}

TEST(Interleave, SpuriousFailuresOfWeakExchange) {
  struct state {
    word a;
    bool exchanged = false;
  };
  const auto once = [](state& s) {
    int expected = 0;
    s.exchanged = s.a.compare_exchange_weak(expected, 1);
  };
  const auto check = [](state& s) { require(s.exchanged, "a weak exchange failed alone"); };
  options bounds;
  EXPECT_TRUE(explore<state>(bounds, {once}, check).good());
  bounds.spurious_failures_max = 1;
  EXPECT_EQ(explore<state>(bounds, {once}, check).fault, "a weak exchange failed alone");
}

TEST(Interleave, ChooseTriesEveryValue) {
  struct state {
    word a;
  };
  std::set<int> seen;
  const verdict v = explore<state>({}, {[](state& s) {
                                     s.a.store(static_cast<int>(choose(3)));
                                     s.a.fetch_add(static_cast<int>(10 * choose(2)));
                                   }},
                                   [&](state& s) { seen.insert(s.a.peek()); });
  EXPECT_EQ(v.schedules, 6U);
  EXPECT_EQ(seen, (std::set<int>{0, 1, 2, 10, 11, 12}));
}

TEST(Interleave, ProvesPetersonsLockAndBreaksTheWrongOne) {
  struct state {
    std::array<word, 2> wants;
    word turn;
    word inside;
  };
  const auto enter = [](bool right) {
    return [right](state& s) {
      const unsigned me = self();
      const unsigned other = 1 - me;
      if (right) {
        s.wants[me].store(1);
        s.turn.store(static_cast<int>(other));
      } else {
        s.turn.store(static_cast<int>(other));
        s.wants[me].store(1);
      }
      wait_until([&, other] {
        return s.wants[other].peek() == 0 || s.turn.peek() != static_cast<int>(other);
      });
      require(s.inside.fetch_add(1) == 0, "two threads inside");
      s.inside.fetch_sub(1);
      s.wants[me].store(0);
    };
  };
  const auto check = [](state&) {};
  const verdict right = explore<state>({}, {enter(true), enter(true)}, check);
  EXPECT_TRUE(right.good()) << right.report();
  const verdict wrong = explore<state>({}, {enter(false), enter(false)}, check);
  EXPECT_EQ(wrong.fault, "two threads inside");
}

}  // namespace
}  // namespace treadle::interleave
