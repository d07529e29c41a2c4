// manual_reset_event, auto_reset_event and wait_group in every model. Their time-outs and stops are
// asked about in stop_test.cpp, with those of the other waits.
#include <treadle/event.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <treadle/wait_group.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Event : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Event, every_model, model_names);

static_assert(!std::is_copy_constructible_v<manual_reset_event>);
static_assert(!std::is_copy_constructible_v<auto_reset_event>);
static_assert(!std::is_copy_constructible_v<wait_group>);

constinit manual_reset_event static_event;
constinit wait_group static_group;

TYPED_TEST(Event, ManualResetLetsInEverybody) {
  this->in([] {
    manual_reset_event open;
    EXPECT_FALSE(open.is_set());
    EXPECT_FALSE(open.try_wait());
    EXPECT_FALSE(open.try_wait(0s));
    int written = 0;
    std::atomic<int> seen{0};
    std::vector<thread> threads;
    for (int i = 0; i < 50; ++i) {
      threads.emplace_back([&] {
        open.wait();
        if (written == 1) ++seen;
      });
    }
    this_thread::yield();
    written = 1;
    open.set();
    for (thread& t : threads) t.join();
    EXPECT_EQ(seen, 50);
    EXPECT_TRUE(open.is_set());
    EXPECT_TRUE(open.try_wait());
    open.set();
    open.wait();
    open.reset();
    EXPECT_FALSE(open.is_set());
    EXPECT_FALSE(open.try_wait());
    open.reset();
    const manual_reset_event from_the_start(true);
    EXPECT_TRUE(from_the_start.is_set());
    EXPECT_FALSE(static_event.is_set());
  });
}

TYPED_TEST(Event, AutoResetLetsInOneEach) {
  this->in([] {
    constexpr int count = 20;
    auto_reset_event next;
    int inside = 0;  // plain: one at a time, each after the one before
    std::atomic<int> arrived{0};
    std::vector<thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        ++arrived;
        next.wait();
        ++inside;
        next.set();
      });
    }
    eventually([&] { return arrived.load() == count; });
    next.set();
    for (thread& t : threads) t.join();
    EXPECT_EQ(inside, count);
    EXPECT_TRUE(next.is_set());
    next.set();  // no second one
    EXPECT_TRUE(next.try_wait());
    EXPECT_FALSE(next.try_wait());
    next.set();
    next.reset();
    EXPECT_FALSE(next.try_wait(1us));
    auto_reset_event from_the_start(true);
    from_the_start.wait();
    EXPECT_FALSE(from_the_start.is_set());
  });
}

TYPED_TEST(Event, PingPong) {
  this->in([] {
    auto_reset_event there;
    auto_reset_event back;
    std::size_t counter = 0;
    const std::size_t rounds = scaled(3000, true);
    thread other([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        there.wait();
        ++counter;
        back.set();
      }
    });
    for (std::size_t i = 0; i < rounds; ++i) {
      there.set();
      back.wait();
      ASSERT_EQ(counter, i + 1);
    }
    other.join();
  });
}

// A set goes to a waiter or stays; a time-out takes none along.
TYPED_TEST(Event, TimeOutsAgainstSets) {
  this->in([] {
    auto_reset_event next;
    std::atomic<std::size_t> taken{0};
    std::atomic<bool> over{false};
    std::vector<thread> threads;
    for (unsigned t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; !over; ++i) {
          if (next.try_wait(std::chrono::microseconds((i * 7 + t) % 20))) ++taken;
        }
      });
    }
    const std::size_t sets = scaled(300, true);
    for (std::size_t i = 1; i <= sets; ++i) {
      next.set();
      eventually([&] { return taken.load() == i; });  // a lost one would hang here
    }
    over = true;
    for (thread& t : threads) t.join();
    EXPECT_EQ(taken, sets);
    EXPECT_FALSE(next.is_set());
  });
}

template <class Made, class Grant>
void destroy_after_wait(Made make, Grant grant) {
  for (std::size_t i = 0; i < scaled(1000, true); ++i) {
    auto it = make();
    thread other([&grant, raw = it.get()] { grant(*raw); });
    if (i % 2 == 0) {
      it->wait();
    } else {
      while (!it->try_wait(1us)) {
      }
    }
    it.reset();
    other.join();
  }
}

TYPED_TEST(Event, DestroyedRightAfterTheWait) {
  this->in([] {
    const auto set = [](auto& it) { it.set(); };
    destroy_after_wait([] { return std::make_unique<manual_reset_event>(); }, set);
    destroy_after_wait([] { return std::make_unique<auto_reset_event>(); }, set);
    destroy_after_wait([] { return std::make_unique<wait_group>(1); },
                       [](wait_group& it) { it.done(); });
  });
}

TYPED_TEST(Event, WaitGroupWaitsForAll) {
  this->in([] {
    wait_group work;
    work.wait();                                           // nothing announced
    std::vector<std::size_t> cells(scaled(200, true), 0);  // plain
    for (int round = 1; round <= 3; ++round) {             // it is used again
      std::vector<thread> threads;
      for (std::size_t& cell : cells) {
        work.add();
        threads.emplace_back([&] {
          if (&cell == cells.data()) this_thread::sleep_for(1ms);
          ++cell;
          work.done();
        });
      }
      work.wait();
      for (const std::size_t cell : cells) EXPECT_EQ(cell, static_cast<std::size_t>(round));
      EXPECT_TRUE(work.try_wait());
      for (thread& t : threads) t.join();
    }
    work.add(3);
    EXPECT_FALSE(work.try_wait());
    EXPECT_FALSE(work.try_wait(1us));
    work.add(-2);
    work.done();
    work.wait();
    EXPECT_TRUE(static_group.try_wait());
  });
}

// What is announced by work that is still going on counts.
TYPED_TEST(Event, WaitGroupOfATree) {
  this->in([] {
    wait_group work(1);
    std::atomic<int> leaves{0};
    struct grower {
      wait_group& announced;
      std::atomic<int>& ends;
      void grow(int depth) {
        if (depth == 0) {
          ++ends;
        } else {
          announced.add(2);
          for (int i = 0; i < 2; ++i) thread([this, depth] { grow(depth - 1); }).detach();
        }
        announced.done();
      }
    } tree{work, leaves};
    thread([&tree] { tree.grow(6); }).detach();
    work.wait();
    EXPECT_EQ(leaves, 64);
  });
}

TYPED_TEST(Event, ForeignKernelThreadsTakePart) {
  manual_reset_event start;
  auto_reset_event baton;
  constexpr int count = 3;
  wait_group work(2 * count);
  int counter = 0;  // whoever has the baton
  const auto run = [&] {
    start.wait();
    baton.wait();
    ++counter;
    baton.set();
    work.done();
  };
  std::vector<std::thread> foreign;
  for (int i = 0; i < count; ++i) foreign.emplace_back(run);
  this->in([&] {
    std::vector<thread> ours;
    for (int i = 0; i < count; ++i) ours.emplace_back(run);
    start.set();
    baton.set();
    work.wait();
    EXPECT_EQ(counter, 2 * count);
    for (thread& t : ours) t.join();
  });
  work.wait();
  for (std::thread& t : foreign) t.join();
}

}  // namespace
}  // namespace treadle
