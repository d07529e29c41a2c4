// Tasks in every model: what they return and throw, spawning and joining, sleeping, the end of a
// runtime. What they wait for is in tasks_waits_test.cpp and its like.
#include <treadle/co.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Tasks : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Tasks, every_model, model_names);

task<int> answer() { co_return 42; }
task<> nothing() { co_return; }
task<int> fails() {
  throw std::runtime_error("no");
  co_return 0;
}
task<std::unique_ptr<int>> moves_only() { co_return std::make_unique<int>(7); }
task<int&> refers(int& to) { co_return to; }
task<std::string> joined(std::string a, const std::string& b) { co_return a + b; }

task<int> adds_up(int depth) {
  if (depth == 0) co_return co_await answer();
  co_return 1 + co_await adds_up(depth - 1);
}

TYPED_TEST(Tasks, GiveWhatTheyReturn) {
  this->in([] {
    EXPECT_EQ(block_on(answer()), 42);
    block_on(nothing());
    EXPECT_EQ(*block_on(moves_only()), 7);
    int there = 1;
    block_on(refers(there)) = 2;
    EXPECT_EQ(there, 2);
    EXPECT_EQ(block_on(joined("left ", "right")), "left right");
    EXPECT_EQ(block_on(adds_up(1000)), 1042);
  });
}

task<bool> catches() {
  try {
    co_await fails();
  } catch (const std::runtime_error& caught) {
    co_return std::string(caught.what()) == "no";
  }
  co_return false;
}

TYPED_TEST(Tasks, ThrowToWhomAwaitsThem) {
  this->in([] {
    EXPECT_THROW(block_on(fails()), std::runtime_error);
    EXPECT_TRUE(block_on(catches()));
    auto handle = spawn(fails());
    EXPECT_THROW(handle.join(), std::runtime_error);
  });
}

TYPED_TEST(Tasks, DoNotStartBeforeTheyAreAwaited) {
  bool ran = false;
  const auto notes = [](bool& where) -> task<> {
    where = true;
    co_return;
  };
  {
    task<> unused = notes(ran);
    EXPECT_TRUE(static_cast<bool>(unused));
  }
  EXPECT_FALSE(ran);
  this->in([&] { block_on(notes(ran)); });
  EXPECT_TRUE(ran);
}

task<std::size_t> awaits_in_a_loop(std::size_t rounds) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < rounds; ++i) sum += static_cast<std::size_t>(co_await answer());
  co_return sum;
}

TYPED_TEST(Tasks, ALongLoopNeedsNoStack) {
  this->in([] {
    const std::size_t rounds = scaled(200'000);
    EXPECT_EQ(block_on(awaits_in_a_loop(rounds)), rounds * 42);
  });
}

task<> counts(std::atomic<std::size_t>& done) {
  co_await co::yield();
  done.fetch_add(1);
}

TYPED_TEST(Tasks, AreSpawnedAndJoinedByThreads) {
  this->in([] {
    std::atomic<std::size_t> done{0};
    std::vector<task_handle<>> handles;
    const std::size_t count = scaled(5000);
    for (std::size_t i = 0; i < count; ++i) handles.push_back(spawn(counts(done)));
    for (auto& each : handles) each.join();
    EXPECT_EQ(done.load(), count);
  });
}

task<std::size_t> spawns(std::size_t count) {
  std::atomic<std::size_t> done{0};
  std::vector<task_handle<>> handles;
  for (std::size_t i = 0; i < count; ++i) handles.push_back(spawn(counts(done)));
  for (auto& each : handles) co_await std::move(each);
  co_return done.load();
}

TYPED_TEST(Tasks, AreSpawnedAndJoinedByTasks) {
  this->in([] {
    const std::size_t count = scaled(5000);
    EXPECT_EQ(block_on(spawns(count)), count);
  });
}

TYPED_TEST(Tasks, RunForAForeignKernelThread) {
  this->in([] {});
  std::size_t got = 0;
  std::thread foreign([&] { got = block_on(spawns(100)); });
  foreign.join();
  EXPECT_EQ(got, 100U);
}

TYPED_TEST(Tasks, TheRuntimeWaitsForDetachedOnes) {
  std::atomic<std::size_t> done{0};
  {
    runtime own(TypeParam::options());
    own.run([&] {
      for (int i = 0; i < 100; ++i) {
        const auto late = [](std::atomic<std::size_t>& where) -> task<> {
          co_await co::sleep_for(2ms);
          where.fetch_add(1);
        };
        spawn(late(done)).detach();
      }
    });
  }
  EXPECT_EQ(done.load(), 100U);
}

TYPED_TEST(Tasks, TryWaitLeavesAJoinableTask) {
  this->in([] {
    const auto late = []() -> task<int> {
      co_await co::sleep_for(20ms);
      co_return 3;
    };
    auto handle = spawn(late());
    while (!handle.try_wait(1ms)) {
    }
    EXPECT_TRUE(handle.has_ended());
    EXPECT_EQ(handle.join(), 3);
  });
}

TYPED_TEST(Tasks, SleepNeverTooShortAndManyAtOnce) {
  this->in([] {
    std::atomic<std::size_t> early{0};
    std::atomic<std::size_t> done{0};
    const auto sleeps = [](int number, std::atomic<std::size_t>& too_soon,
                           std::atomic<std::size_t>& count) -> task<> {
      const auto until =
          std::chrono::steady_clock::now() + std::chrono::microseconds(number * 37 % 5000);
      if (!co_await co::sleep_until(until)) too_soon.fetch_add(1);
      if (std::chrono::steady_clock::now() < until) too_soon.fetch_add(1);
      count.fetch_add(1);
    };
    std::vector<task_handle<>> handles;
    const std::size_t count = scaled(2000);
    for (std::size_t i = 0; i < count; ++i) {
      handles.push_back(spawn(sleeps(static_cast<int>(i), early, done)));
    }
    for (auto& each : handles) each.join();
    EXPECT_EQ(early.load(), 0U);
    EXPECT_EQ(done.load(), count);
  });
}

TYPED_TEST(Tasks, AStopEndsASleep) {
  this->in([] {
    std::stop_source source;
    const auto sleeps = []() -> task<bool> { co_return co_await co::sleep_for(10min); };
    auto own = spawn(sleeps(), source.get_token());
    const auto given = [](std::stop_token stop) -> task<bool> {
      co_return co_await co::sleep_for(10min, std::move(stop));
    };
    auto other = spawn(given(source.get_token()));
    this_thread::yield();
    source.request_stop();
    EXPECT_FALSE(own.join());
    EXPECT_FALSE(other.join());
    // At once, when it has happened already.
    EXPECT_FALSE(block_on(sleeps(), source.get_token()));
  });
}

TYPED_TEST(Tasks, KnowTheirToken) {
  this->in([] {
    const auto asks = []() -> task<bool> {
      const std::stop_token own = co_await co::stop_token();
      co_return own.stop_requested();
    };
    std::stop_source source;
    source.request_stop();
    EXPECT_TRUE(block_on(asks(), source.get_token()));
    EXPECT_FALSE(block_on(asks()));
    // Until it is told: it may be done with its first waits before the stop.
    const auto asks_later = [&]() -> task<bool> {
      for (;;) {
        co_await co::yield();
        co_await co::sleep_for(1us);
        const bool told = co_await asks();
        if (told) co_return true;
      }
    };
    std::stop_source later;
    auto handle = spawn(asks_later(), later.get_token());
    later.request_stop();
    EXPECT_TRUE(handle.join());
  });
}

// The colour is bridged: a task that parks as a thread does is replaced meanwhile.
TYPED_TEST(Tasks, MayBlockTheirCarrier) {
  this->in([] {
    binary_semaphore first(0);
    binary_semaphore second(0);
    const auto blocks = [](binary_semaphore& mine, binary_semaphore& other) -> task<> {
      other.release();
      mine.acquire();
      other.release();
      co_return;
    };
    std::vector<task_handle<>> handles;
    const auto waits = [](binary_semaphore& on) -> task<> {
      on.acquire();
      co_return;
    };
    binary_semaphore gate(0);
    // More than there are processors, all blocked before the one that lets them go.
    for (int i = 0; i < 20; ++i) handles.push_back(spawn(waits(gate)));
    handles.push_back(spawn(blocks(first, second)));
    handles.push_back(spawn(blocks(second, first)));
    const auto opens = [](binary_semaphore& on) -> task<> {
      for (int i = 0; i < 20; ++i) on.release();
      co_return;
    };
    handles.push_back(spawn(opens(gate)));
    for (auto& each : handles) each.join();
    EXPECT_EQ(block_on([]() -> task<int> { co_return block_on(answer()); }()), 42);
  });
}

// ---- beside tasks that keep their carriers ----

task<> sets(std::atomic<bool>& flag) {
  flag.store(true);
  co_return;
}

// Computes, as far as anybody can see.
task<> spins_until(std::atomic<bool>& flag) {
  while (!flag.load(std::memory_order_relaxed)) {
  }
  co_return;
}

template <class Model>
class TaskHogs : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(TaskHogs, every_model, model_names);

TYPED_TEST(TaskHogs, AComputingTaskStopsNoOther) {
  if (!this->preempts()) GTEST_SKIP() << "nobody is preempted here";
  this->in([] {
    for (int round = 0; round < 3; ++round) {
      std::atomic<bool> over{false};
      std::vector<task_handle<void>> all;
      for (int i = 0; i < 6; ++i) all.push_back(spawn(spins_until(over)));
      all.push_back(spawn(sets(over)));
      for (auto& one : all) one.join();
    }
  });
}

// What the computing task has made ready lies behind it.
TYPED_TEST(TaskHogs, AComputingTaskKeepsNothingForItself) {
  if (!this->preempts()) GTEST_SKIP() << "nobody is preempted here";
  this->in([] {
    std::atomic<bool> over{false};
    const auto computes = [&]() -> task<> {
      auto child = spawn(sets(over));
      while (!over.load(std::memory_order_relaxed)) {
      }
      co_await std::move(child);
    };
    block_on(computes());
    const auto forks = [&]() -> task<> {
      over.store(false);
      co_await co::when_all(sets(over), spins_until(over));
    };
    block_on(forks());
  });
}

// Also when the watch sleeps again, because all others wait.
TYPED_TEST(TaskHogs, WhatAComputingTaskWakesGoesOnElsewhere) {
  if (!this->preempts()) GTEST_SKIP() << "nobody is preempted here";
  this->in([] {
    constexpr int turns = 3;
    counting_semaphore<> turn(0);
    std::atomic<int> steps{0};
    const auto goes_on = [&]() -> task<> {
      for (int i = 0; i < turns; ++i) {
        co_await co::acquire(turn);
        steps.fetch_add(1);
      }
    };
    const auto computes = [&]() -> task<> {
      auto child = spawn(goes_on());
      for (int i = 1; i <= turns; ++i) {
        turn.release();
        while (steps.load(std::memory_order_relaxed) < i) {
        }
        const auto until = std::chrono::steady_clock::now() + 50ms;
        while (std::chrono::steady_clock::now() < until) {
        }
      }
      co_await std::move(child);
    };
    block_on(computes());
  });
}

// The same for what it forks.
TYPED_TEST(TaskHogs, WhatALateTaskForksGoesOnElsewhere) {
  if (!this->preempts()) GTEST_SKIP() << "nobody is preempted here";
  this->in([] {
    std::atomic<bool> over{false};
    const auto computes = [&](bool spins_first) -> task<> {
      over.store(false);
      auto child = spawn(sets(over));
      co_await spins_until(over);
      const auto until = std::chrono::steady_clock::now() + 50ms;
      while (std::chrono::steady_clock::now() < until) {
      }
      over.store(false);
      if (spins_first) {
        co_await co::when_all(spins_until(over), sets(over));
      } else {
        co_await co::when_all(sets(over), spins_until(over));
      }
      co_await std::move(child);
    };
    block_on(computes(true));
    block_on(computes(false));
  });
}

TYPED_TEST(TaskHogs, ABlockingCallThatNobodyAnnouncedStopsNoOther) {
  if (!this->sees_blocked()) GTEST_SKIP() << "nobody sees blocked workers here";
  this->in([] {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto blocks = [&]() -> task<ssize_t> {
      char byte = 0;
      co_return ::read(ends[0], &byte, 1);
    };
    const auto writes = [&]() -> task<ssize_t> { co_return ::write(ends[1], "ab", 2); };
    auto one = spawn(blocks());
    auto two = spawn(blocks());
    auto writer = spawn(writes());
    EXPECT_EQ(one.join(), 1);
    EXPECT_EQ(two.join(), 1);
    EXPECT_EQ(writer.join(), 2);
    ::close(ends[0]);
    ::close(ends[1]);
  });
}

}  // namespace
}  // namespace treadle
