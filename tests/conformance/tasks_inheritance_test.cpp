// priority_inheritance_mutex between threads, tasks and foreign kernel threads: who has it, and
// what a task and its carriers are lent meanwhile.
#include <treadle/co.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::scaled;

template <class Configuration>
class TaskInheritance : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(TaskInheritance, testing_support::every_model, testing_support::model_names);

thread start(priority level, std::function<void()> f) {
  return thread(thread_attributes{.priority = level}, std::move(f));
}

// Until the task runs at `wanted`, on whatever carrier.
task<> until_at(priority wanted) {
  while (this_thread::effective_priority() != wanted) co_await co::yield();
}

// Holds the mutex until it has been lent `wanted`.
task<> hold_until_at(priority_inheritance_mutex& m, std::atomic<bool>& has, priority wanted) {
  const auto hold = co_await co::lock(m);
  has = true;
  co_await until_at(wanted);
}

// Holds the mutex until it is told.
class holder {
 public:
  explicit holder(priority_inheritance_mutex& m) : handle_(spawn(hold(m))) {
    eventually([this] { return has_.load(); });
  }
  void let_go() {
    let_go_.release();
    handle_.join();
  }

 private:
  task<> hold(priority_inheritance_mutex& m) {
    const auto hold = co_await co::lock(m);
    has_ = true;
    co_await co::acquire(let_go_);
  }

  std::atomic<bool> has_{false};
  binary_semaphore let_go_{0};
  task_handle<> handle_;
};

TYPED_TEST(TaskInheritance, KeepsAllKindsApart) {
  priority_inheritance_mutex m;
  std::size_t value = 0;  // guarded by m
  const std::size_t rounds = scaled(500, this->own_kernel_threads);
  std::vector<std::thread> foreign;
  for (int i = 0; i < 2; ++i) {
    foreign.emplace_back([&] {
      for (std::size_t round = 0; round < rounds; ++round) {
        const std::lock_guard hold(m);
        ++value;
      }
    });
  }
  this->in([&] {
    const auto adds = [&]() -> task<> {
      for (std::size_t round = 0; round < rounds; ++round) {
        const auto hold = co_await co::lock(m);
        const std::size_t seen = value;
        if (round % 16 == 0) co_await co::yield();  // perhaps on another carrier
        value = seen + 1;
      }
    };
    const auto adds_in_time = [&]() -> task<> {
      for (std::size_t round = 0; round < rounds;) {
        {
          const auto hold = co_await co::lock(m, std::chrono::microseconds(round % 50));
          if (hold) {
            ++round;
            ++value;
          }
        }
        co_await co::yield();
      }
    };
    std::vector<task_handle<>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(spawn(adds()));
    for (int i = 0; i < 2; ++i) tasks.push_back(spawn(adds_in_time()));
    std::vector<thread> threads;
    for (const auto level : {priority::low, priority::normal, priority::urgent}) {
      threads.push_back(start(level, [&] {
        for (std::size_t round = 0; round < rounds; ++round) {
          const std::lock_guard hold(m);
          ++value;
        }
      }));
    }
    for (auto& one : tasks) one.join();
    for (auto& one : threads) one.join();
  });
  for (std::thread& one : foreign) one.join();
  EXPECT_EQ(value, 11 * rounds);
}

TYPED_TEST(TaskInheritance, WhatATaskIsLentItsCarriersAre) {
  this->in([] {
    priority_inheritance_mutex m;
    std::atomic<bool> has{false};
    auto first = spawn(hold_until_at(m, has, priority::urgent));
    eventually([&] { return has.load(); });
    thread high = start(priority::high, [&] { const std::lock_guard hold(m); });
    block_on(until_at(priority::high));
    thread urgent = start(priority::urgent, [&] { const std::lock_guard hold(m); });
    first.join();
    high.join();
    urgent.join();
    block_on(until_at(priority::normal));
  });
}

// The one that blocks its carrier has another one started, while all are lent something.
TYPED_TEST(TaskInheritance, ANewCarrierIsAsTheOthers) {
  this->in([] {
    priority_inheritance_mutex m;
    holder first(m);
    thread urgent = start(priority::urgent, [&] { const std::lock_guard hold(m); });
    binary_semaphore never_mind(0);
    const auto blocks = [&]() -> task<> {
      never_mind.acquire();  // as a thread
      co_return;
    };
    std::vector<task_handle<>> blocked;
    for (int i = 0; i < 6; ++i) blocked.push_back(spawn(blocks()));
    block_on(until_at(priority::urgent));
    first.let_go();
    urgent.join();
    for (std::size_t i = 0; i < blocked.size(); ++i) never_mind.release();
    for (auto& one : blocked) one.join();
    block_on(until_at(priority::normal));
  });
}

TYPED_TEST(TaskInheritance, WhoGivesUpTakesItsLoanBack) {
  this->in([] {
    priority_inheritance_mutex m;
    holder first(m);
    thread late = start(priority::high, [&] { EXPECT_FALSE(m.try_lock_for(2ms)); });
    late.join();
    block_on(until_at(priority::normal));
    std::stop_source stop;
    const auto waits = [&](wait_limit limit) -> task<bool> {
      const auto hold = co_await co::lock(m, std::move(limit));
      co_return hold.owns_lock();
    };
    auto stopped = spawn(waits(stop.get_token()));
    EXPECT_FALSE(block_on(waits(1ms)));
    stop.request_stop();
    EXPECT_FALSE(stopped.join());
    first.let_go();
    EXPECT_TRUE(block_on(waits(1h)));
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

// A chain: the thread that a task waits for is lent what the task is.
TYPED_TEST(TaskInheritance, AChainThroughATask) {
  this->in([] {
    priority_inheritance_mutex a;
    priority_inheritance_mutex b;
    binary_semaphore let_go(0);
    std::atomic<bool> has_a{false};
    std::atomic<bool> has_b{false};
    thread low = start(priority::low, [&] {
      const std::lock_guard hold(a);
      has_a = true;
      let_go.acquire();
    });
    eventually([&] { return has_a.load(); });
    const auto takes_both = [&]() -> task<> {
      const auto first = co_await co::lock(b);
      has_b = true;
      const auto second = co_await co::lock(a);
      EXPECT_EQ(this_thread::effective_priority(), priority::urgent);
    };
    auto both = spawn(takes_both());
    eventually([&] { return has_b.load() && low.effective_priority() == priority::normal; });
    thread urgent = start(priority::urgent, [&] { const std::lock_guard hold(b); });
    eventually([&] { return low.effective_priority() == priority::urgent; });
    let_go.release();
    low.join();
    both.join();
    urgent.join();
    block_on(until_at(priority::normal));
  });
}

TYPED_TEST(TaskInheritance, AConditionVariableGivesItUpMeanwhile) {
  this->in([] {
    priority_inheritance_mutex m;
    condition_variable_any changed;
    int stage = 0;  // guarded by m
    const auto awaits = [&](int mine) -> task<> {
      auto hold = co_await co::lock(m);
      co_await co::wait(changed, hold, [&] { return stage == mine; });
      ++stage;
      changed.notify_all();
    };
    std::vector<task_handle<>> tasks;
    for (int i = 9; i >= 0; --i) tasks.push_back(spawn(awaits(i)));
    for (auto& one : tasks) one.join();
    EXPECT_EQ(stage, 10);
  });
}

TYPED_TEST(TaskInheritance, LockingAgainIsFatal) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto twice = [](priority_inheritance_mutex& m) -> task<> {
    const auto first = co_await co::lock(m);
    const auto second = co_await co::lock(m);
  };
  EXPECT_DEATH(this->in([&] {
    priority_inheritance_mutex m;
    block_on(twice(m));
  }),
               "priority_inheritance_mutex::lock: .*holds it already");
}

}  // namespace
}  // namespace treadle
