// Who looks at the clock of tasks: the next timer is seen to, whoever armed it and whatever that
// one does next, also when somebody else already sleeps until a later one.
//
// Nothing here is bounded in time: a timer that nobody sees to is a test that does not end.
#include <treadle/co.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stop_token>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::in_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class TaskClock : public in_model<Model> {
 public:
  // `near` in a task, again and again, while others sleep for an hour.
  void beside_long_sleeps(int times, const std::function<task<>()>& near) {
    this->in([times, &near] {
      block_on([](int rounds, const std::function<task<>()>& each) -> task<> {
        std::stop_source ends;
        std::vector<task_handle<>> far;
        for (int i = 0; i < 3; ++i) far.push_back(spawn(sleeps_on(ends.get_token())));
        for (int round = 0; round < rounds; ++round) co_await each();
        ends.request_stop();
        for (auto& one : far) co_await std::move(one);
      }(times, near));
    });
  }

 private:
  static task<> sleeps_on(std::stop_token until_stopped) {
    EXPECT_FALSE(co_await co::sleep_for(1h, until_stopped));
  }
};
TYPED_TEST_SUITE(TaskClock, every_model, model_names);

task<> calls_after(std::chrono::microseconds span, const std::function<void()>& then) {
  co_await co::sleep_for(span);
  then();
}

TYPED_TEST(TaskClock, AnEarlierTimerIsSeenTo) {
  this->beside_long_sleeps(scaled(100), []() -> task<> { co_await co::sleep_for(200us); });
}

// The carriers that rest have not been told.
TYPED_TEST(TaskClock, WhoArmedOneBlocksItsThread) {
  this->beside_long_sleeps(scaled(50), []() -> task<> {
    binary_semaphore gate(0);
    const std::function<void()> opens = [&gate] { gate.release(); };
    auto near = spawn(calls_after(500us, opens));
    co_await co::yield();  // it has armed its timer here, mostly
    gate.acquire();
    co_await std::move(near);
    // There may be one carrier too many now, and it ends with the timer just armed.
    co_await co::sleep_for(200us);
  });
}

TYPED_TEST(TaskClock, WhoArmedOneComputes) {
  if (!this->preempts()) GTEST_SKIP() << "nobody is preempted here";
  this->beside_long_sleeps(scaled(10), []() -> task<> {
    std::atomic<bool> over{false};
    const std::function<void()> sets = [&over] { over.store(true); };
    auto near = spawn(calls_after(500us, sets));
    co_await co::yield();
    while (!over.load()) {
    }
    co_await std::move(near);
  });
}

TYPED_TEST(TaskClock, WhoArmedOneBlocksInTheKernel) {
  if (!this->sees_blocked()) GTEST_SKIP() << "nobody sees blocked workers here";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  this->beside_long_sleeps(scaled(10), [&ends]() -> task<> {
    const std::function<void()> writes = [&ends] { EXPECT_EQ(::write(ends[1], "a", 1), 1); };
    auto near = spawn(calls_after(500us, writes));
    co_await co::yield();
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    co_await std::move(near);
  });
  ::close(ends[0]);
  ::close(ends[1]);
}

// With turns as long as this the next look at the clock by count would be a second away.
TYPED_TEST(TaskClock, BesideLongTurns) {
  if (!this->preempts()) GTEST_SKIP() << "nobody is preempted here";
  this->beside_long_sleeps(1, []() -> task<> {
    std::atomic<bool> over{false};
    std::atomic<int> turns{0};
    const auto takes_turns = [&]() -> task<> {
      while (!over.load()) {
        const auto until = std::chrono::steady_clock::now() + 20ms;
        while (std::chrono::steady_clock::now() < until) {
        }
        turns.fetch_add(1);
        co_await co::yield();
      }
    };
    std::vector<task_handle<>> all;
    const unsigned carriers = runtime::current().width();
    for (unsigned i = 0; i < carriers; ++i) all.push_back(spawn(takes_turns()));
    co_await co::sleep_for(500us);
    over.store(true);
    EXPECT_LT(turns.load(), static_cast<int>(40 * carriers)) << "nobody was asked to look";
    for (auto& one : all) co_await std::move(one);
  });
}

// Each is called for work that takes a while, also who has just looked at the clock.
TYPED_TEST(TaskClock, CarriersThatWorkMeanwhile) {
  this->beside_long_sleeps(scaled(20), []() -> task<> {
    std::vector<task_handle<>> all;
    const std::function<void()> works = [] {
      const auto until = std::chrono::steady_clock::now() + 300us;
      while (std::chrono::steady_clock::now() < until) {
      }
    };
    for (int i = 0; i < 8; ++i) {
      all.push_back(spawn(calls_after(std::chrono::microseconds(100 * i), works)));
    }
    for (auto& one : all) co_await std::move(one);
  });
}

}  // namespace
}  // namespace treadle
