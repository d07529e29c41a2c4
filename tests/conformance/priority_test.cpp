// Levels of threads: who goes first, and who runs all the same. Counted in turns, never in time.
#include <algorithm>
#include <atomic>
#include <functional>
#include <system_error>
#include <treadle/event.hpp>
#include <treadle/scope.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

template <class Configuration>
class Priority : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(Priority, testing_support::every_model, testing_support::model_names);

// With one kernel thread the order is exact.
template <class Configuration>
class PriorityInOrder : public testing_support::in_model<Configuration> {};
using in_turn = ::testing::Types<testing_support::configuration<model::many_to_one, 1>,
                                 testing_support::configuration<model::many_to_many, 1>>;
TYPED_TEST_SUITE(PriorityInOrder, in_turn, testing_support::model_names);

thread start(priority level, std::function<void()> f) {
  return thread(thread_attributes{.priority = level}, std::move(f));
}

TYPED_TEST(Priority, IsWhatWasGiven) {
  this->in([] {
    EXPECT_EQ(this_thread::priority(), priority::normal);
    thread low = start(priority::low, [] {
      EXPECT_EQ(this_thread::priority(), priority::low);
      EXPECT_EQ(this_thread::effective_priority(), priority::low);
      static_cast<void>(this_thread::set_priority(priority::background));
      EXPECT_EQ(this_thread::priority(), priority::background);
      thread child([] { EXPECT_EQ(this_thread::priority(), priority::normal); });
      child.join();
    });
    low.join();
    // A record and a stack that were used before.
    for (int i = 0; i < 100; ++i) {
      thread next([] { EXPECT_EQ(this_thread::priority(), priority::normal); });
      next.join();
    }
  });
}

TYPED_TEST(Priority, OfAnotherThread) {
  this->in([] {
    manual_reset_event end;
    thread other = start(priority::high, [&] { end.wait(); });
    EXPECT_EQ(other.priority(), priority::high);
    static_cast<void>(other.set_priority(priority::background));
    EXPECT_EQ(other.priority(), priority::background);
    EXPECT_EQ(other.effective_priority(), priority::background);
    end.set();
    other.join();
    EXPECT_THROW(static_cast<void>(other.priority()), std::system_error);
    EXPECT_THROW(other.set_priority(priority::low), std::system_error);
  });
}

TYPED_TEST(Priority, ChildrenOfAScopeHaveTheirParents) {
  this->in([] {
    thread parent = start(priority::low, [] {
      scope children;
      for (int i = 0; i < 4; ++i) {
        children.spawn([] { EXPECT_EQ(this_thread::priority(), priority::low); });
      }
      children.join();
    });
    parent.join();
  });
}

TYPED_TEST(PriorityInOrder, TheHighestGoesFirst) {
  this->in([] {
    constexpr int rounds = 48;
    int in_order = 0;
    for (int round = 0; round < rounds; ++round) {
      std::vector<priority> order;
      std::vector<thread> threads;
      for (const priority level : {priority::background, priority::normal, priority::urgent,
                                   priority::low, priority::high}) {
        threads.push_back(start(level, [&] { order.push_back(this_thread::priority()); }));
      }
      for (thread& one : threads) one.join();
      ASSERT_EQ(order.size(), 5U);
      if (std::is_sorted(order.rbegin(), order.rend())) ++in_order;
    }
    // All are ready before the first one runs. In some rounds one of the lower has its share.
    EXPECT_GE(in_order, rounds / 4);
  });
}

TYPED_TEST(PriorityInOrder, AWokenOneOfAHigherLevelGoesFirst) {
  this->in([] {
    binary_semaphore go(0);
    int turns = 0;
    bool over = false;
    int turns_before = -1;
    thread high = start(priority::high, [&] {
      go.acquire();
      turns_before = turns;
      over = true;
    });
    std::vector<thread> crowd;
    for (int i = 0; i < 20; ++i) {
      crowd.emplace_back([&, i] {
        while (!over) {
          // In the midst of a crowd that all give way.
          if (++turns == 100 && i >= 0) {
            turns = 0;
            go.release();
          }
          this_thread::yield();
        }
      });
    }
    for (thread& one : crowd) one.join();
    high.join();
    // At the next scheduling point, or, when that was the others' share, at the one after it.
    EXPECT_LE(turns_before, 2);
  });
}

// Some of a high level who always want to run, and one of each other level: it gets its turn.
template <class Run>
void starve(priority of_crowd, Run run) {
  for (const priority level :
       {priority::background, priority::low, priority::normal, priority::high, priority::urgent}) {
    if (level >= of_crowd) continue;
    run(level);
  }
}

TYPED_TEST(Priority, NobodyIsStarved) {
  this->in([] {
    for (const priority crowd_level : {priority::normal, priority::high, priority::urgent}) {
      starve(crowd_level, [&](priority level) {
        constexpr int crowd_size = 6;
        std::atomic<bool> over{false};
        std::atomic<long> turns{0};
        std::vector<thread> crowd;
        for (int i = 0; i < crowd_size; ++i) {
          crowd.push_back(start(crowd_level, [&] {
            while (!over) {
              ++turns;
              this_thread::yield();
            }
          }));
        }
        testing_support::eventually([&] { return turns > 10; });
        long steps = 0;
        thread starved = start(level, [&] {
          for (steps = 0; steps < 20; ++steps) this_thread::yield();
        });
        starved.join();
        over = true;
        for (thread& one : crowd) one.join();
        EXPECT_EQ(steps, 20);
      });
    }
  });
}

// The bound itself, where one processor counts all turns.
TYPED_TEST(PriorityInOrder, TheShareOfTheLowestInTurns) {
  this->in([] {
    bool over = false;
    long turns = 0;
    std::vector<thread> crowd;
    // Every class has somebody who always wants to run.
    for (const priority level :
         {priority::low, priority::normal, priority::high, priority::urgent}) {
      for (int i = 0; i < 3; ++i) {
        crowd.push_back(start(level, [&] {
          while (!over) {
            ++turns;
            this_thread::yield();
          }
        }));
      }
    }
    long longest = 0;
    thread lowest = start(priority::background, [&] {
      for (int i = 0; i < 50; ++i) {
        const long before = turns;
        this_thread::yield();
        longest = std::max(longest, turns - before);
      }
      over = true;
    });
    lowest.join();
    for (thread& one : crowd) one.join();
    // Sixteen turns for each of the five classes below the top (sched/level_turns.hpp).
    EXPECT_LE(longest, 80);
    EXPECT_GE(longest, 15);
  });
}

TYPED_TEST(Priority, ManyOfAllLevelsComeAndGo) {
  this->in([] {
    std::atomic<int> ended{0};
    counting_semaphore<> permits(3);
    std::vector<thread> threads;
    const auto count = testing_support::scaled(2'000) / (TestFixture::own_kernel_threads ? 50 : 1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto level = static_cast<priority>(static_cast<int>(i % 5) - 2);
      threads.push_back(start(level, [&, i] {
        permits.acquire();
        this_thread::yield();
        if (i % 3 == 0) static_cast<void>(this_thread::set_priority(priority::normal));
        permits.release();
        if (i % 7 == 0) this_thread::sleep_for(std::chrono::microseconds(10));
        ++ended;
      }));
      if (i % 11 == 0) {
        static_cast<void>(
            threads[i / 2].set_priority(static_cast<priority>(static_cast<int>(i % 4) - 1)));
      }
    }
    for (thread& one : threads) one.join();
    EXPECT_EQ(static_cast<std::size_t>(ended), count);
  });
}

TYPED_TEST(Priority, FromAForeignKernelThread) {
  this->in([] { static_cast<void>(this_thread::set_priority(priority::high)); });
  binary_semaphore go(0);
  std::atomic<bool> done{false};
  this->in([&] {
    thread waiting = start(priority::urgent, [&] {
      go.acquire();
      done = true;
    });
    waiting.detach();
  });
  go.release();
  while (!done) this_thread::yield();
}

}  // namespace
}  // namespace treadle
