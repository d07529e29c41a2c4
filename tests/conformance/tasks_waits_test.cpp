// What tasks wait for, in every model, with {thread, task, foreign kernel thread} on each side.
#include <treadle/co.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/actors.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::actor;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::parties;
using testing_support::party;
using testing_support::scaled;

template <class Model>
class TaskWaits : public testing_support::with_actors<Model> {};
TYPED_TEST_SUITE(TaskWaits, every_model, model_names);

constexpr std::size_t rounds_of(bool own_kernel_threads) { return scaled(300, own_kernel_threads); }

TYPED_TEST(TaskWaits, SemaphoresPassTurnsBetweenAnyTwo) {
  this->for_each_pair([&](party left, party right) {
    binary_semaphore ping(0);
    binary_semaphore pong(0);
    std::size_t value = 0;  // plain: the semaphores order it
    const std::size_t rounds = rounds_of(this->own_kernel_threads);
    actor a = this->act(
        left,
        [&] {
          for (std::size_t i = 0; i < rounds; ++i) {
            ping.acquire();
            ++value;
            pong.release();
          }
        },
        [&]() -> task<> {
          for (std::size_t i = 0; i < rounds; ++i) {
            co_await co::acquire(ping);
            ++value;
            pong.release();
          }
        });
    actor b = this->act(
        right,
        [&] {
          for (std::size_t i = 0; i < rounds; ++i) {
            ping.release();
            pong.acquire();
          }
        },
        [&]() -> task<> {
          for (std::size_t i = 0; i < rounds; ++i) {
            ping.release();
            co_await co::acquire(pong);
          }
        });
    a.join();
    b.join();
    EXPECT_EQ(value, rounds);
  });
}

TYPED_TEST(TaskWaits, AMutexKeepsAnyTwoApart) {
  this->for_each_pair([&](party left, party right) {
    mutex guard;
    std::size_t value = 0;  // guarded by guard
    const std::size_t rounds = rounds_of(this->own_kernel_threads) * 10;
    const auto blocking = [&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        const std::lock_guard hold(guard);
        ++value;
      }
    };
    const auto awaiting = [&]() -> task<> {
      for (std::size_t i = 0; i < rounds; ++i) {
        const auto hold = co_await co::lock(guard);
        const std::size_t seen = value;
        if (i % 16 == 0) co_await co::yield();  // perhaps on another carrier
        value = seen + 1;
      }
    };
    actor a = this->act(left, blocking, awaiting);
    actor b = this->act(right, blocking, awaiting);
    a.join();
    b.join();
    EXPECT_EQ(value, 2 * rounds);
  });
}

TYPED_TEST(TaskWaits, ChannelsCarryBetweenAnyTwo) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{3}, unbounded}) {
    this->for_each_pair([&](party left, party right) {
      channel<std::unique_ptr<std::size_t>> line(capacity);
      const std::size_t count = rounds_of(this->own_kernel_threads);
      std::size_t sum = 0;
      actor sender = this->act(
          left,
          [&] {
            for (std::size_t i = 0; i < count; ++i) line.send(std::make_unique<std::size_t>(i));
            line.close();
          },
          [&]() -> task<> {
            for (std::size_t i = 0; i < count; ++i) {
              auto value = std::make_unique<std::size_t>(i);
              const channel_status status = co_await co::send(line, std::move(value));
              EXPECT_EQ(status, channel_status::done);
            }
            line.close();
          });
      actor receiver = this->act(
          right,
          [&] {
            while (auto got = line.receive()) sum += **got;
          },
          [&]() -> task<> {
            for (;;) {
              auto got = co_await co::receive(line);
              if (!got) break;
              sum += **got;
            }
          });
      sender.join();
      receiver.join();
      EXPECT_EQ(sum, count * (count - 1) / 2);
    });
  }
}

TYPED_TEST(TaskWaits, SharedMutexesKeepWritersApart) {
  this->for_each_pair([&](party left, party right) {
    shared_mutex guard;
    std::size_t value = 0;  // guarded by guard
    const std::size_t rounds = rounds_of(this->own_kernel_threads);
    actor writer = this->act(
        left,
        [&] {
          for (std::size_t i = 0; i < rounds; ++i) {
            const std::lock_guard hold(guard);
            ++value;
          }
        },
        [&]() -> task<> {
          for (std::size_t i = 0; i < rounds; ++i) {
            const auto hold = co_await co::lock(guard);
            ++value;
            co_await co::yield();
          }
        });
    actor reader = this->act(
        right,
        [&] {
          for (std::size_t i = 0; i < rounds; ++i) {
            guard.lock_shared();
            const std::size_t seen = value;
            EXPECT_EQ(value, seen);
            guard.unlock_shared();
          }
        },
        [&]() -> task<> {
          for (std::size_t i = 0; i < rounds; ++i) {
            const auto hold = co_await co::lock_shared(guard);
            const std::size_t seen = value;
            co_await co::yield();
            EXPECT_EQ(value, seen);
          }
        });
    writer.join();
    reader.join();
    EXPECT_EQ(value, rounds);
  });
}

TYPED_TEST(TaskWaits, EventsLatchesGroupsAndBarriers) {
  this->in([] {
    manual_reset_event begun;
    auto_reset_event once;
    latch ready(3);
    wait_group group(3);
    std::atomic<int> completed{0};
    const auto completion = [&completed]() noexcept { completed.fetch_add(1); };
    barrier<decltype(completion)> meeting(3, completion);
    std::atomic<int> through{0};
    const auto runs = [&]() -> task<> {
      ready.count_down();
      co_await co::wait(begun);
      for (int i = 0; i < 10; ++i) co_await co::arrive_and_wait(meeting);
      co_await co::wait(once);
      through.fetch_add(1);
      once.set();
      group.done();
    };
    std::vector<task_handle<>> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(spawn(runs()));
    ready.wait();
    EXPECT_EQ(through.load(), 0);
    begun.set();
    once.set();
    const auto waits = [&]() -> task<> { co_await co::wait(group); };
    block_on(waits());
    EXPECT_EQ(through.load(), 3);
    EXPECT_EQ(completed.load(), 10);
    for (auto& each : handles) each.join();
  });
}

// The one that was notified may be behind the destroyer on its carrier.
TYPED_TEST(TaskWaits, AConditionVariableMayBeDestroyedOnceATaskInALimitIsNotified) {
  this->in([] {
    mutex guard;
    auto changed = std::make_unique<condition_variable>();
    bool waits = false;
    bool notified = false;
    const auto waiter = [&]() -> task<> {
      auto hold = co_await co::lock(guard);
      waits = true;
      notified = co_await co::wait_within(*changed, hold, 1h);
    };
    const auto destroyer = [&]() -> task<> {
      for (bool is_there = false; !is_there;) {
        co_await co::yield();
        const auto hold = co_await co::lock(guard);
        is_there = waits;
      }
      changed->notify_all();
      changed.reset();
    };
    const auto both = [&]() -> task<> { co_await co::when_all(waiter(), destroyer()); };
    block_on(both());
    EXPECT_TRUE(notified);
  });
}

TYPED_TEST(TaskWaits, ConditionVariablesWakeBothKinds) {
  this->in([] {
    mutex guard;
    condition_variable changed;
    int stage = 0;  // guarded by guard
    const auto awaits = [&](int mine) -> task<> {
      auto hold = co_await co::lock(guard);
      co_await co::wait(changed, hold, [&] { return stage == mine; });
      ++stage;
      changed.notify_all();
    };
    std::vector<task_handle<>> handles;
    std::vector<thread> threads;
    for (int i = 0; i < 20; i += 2) handles.push_back(spawn(awaits(i)));
    for (int i = 1; i < 20; i += 2) {
      threads.emplace_back([&, i] {
        std::unique_lock hold(guard);
        changed.wait(hold, [&] { return stage == i; });
        ++stage;
        changed.notify_all();
      });
    }
    for (auto& each : handles) each.join();
    for (auto& each : threads) each.join();
    EXPECT_EQ(stage, 20);
    const auto gives_up = [&]() -> task<bool> {
      auto hold = co_await co::lock(guard);
      co_return co_await co::wait_within(changed, hold, 1ms, [&] { return stage == 0; });
    };
    EXPECT_FALSE(block_on(gives_up()));
  });
}

TYPED_TEST(TaskWaits, FuturesThreadsAndCallOnce) {
  this->in([] {
    promise<int> made;
    future<int> later = made.get_future();
    const auto gets = [](future<int> from) -> task<int> {
      co_return co_await co::get(std::move(from));
    };
    auto handle = spawn(gets(std::move(later)));
    made.set_value(5);
    EXPECT_EQ(handle.join(), 5);

    const auto joins = []() -> task<int> {
      int seen = 0;
      thread other([&] {
        this_thread::yield();
        seen = 3;
      });
      co_await co::join(other);
      co_return seen;
    };
    EXPECT_EQ(block_on(joins()), 3);

    const auto runs = []() -> task<int> {
      co_return co_await co::run([] {
        this_thread::sleep_for(1ms);
        return 9;
      });
    };
    EXPECT_EQ(block_on(runs()), 9);

    once_flag flag;
    std::atomic<int> calls{0};
    const auto calls_once = [&]() -> task<> {
      co_await co::call_once(flag, [&]() -> task<> {
        co_await co::sleep_for(1ms);
        calls.fetch_add(1);
      });
      EXPECT_EQ(calls.load(), 1);
    };
    std::vector<task_handle<>> handles;
    for (int i = 0; i < 10; ++i) handles.push_back(spawn(calls_once()));
    for (auto& each : handles) each.join();
  });
}

// Time-outs against grants: every permit is had once, whoever wins.
TYPED_TEST(TaskWaits, NoPermitIsLostToALimit) {
  this->in([&] {
    counting_semaphore<> permits(0);
    std::atomic<std::size_t> had{0};
    const std::size_t each_tries = scaled(60, this->own_kernel_threads);
    const auto tries = [&]() -> task<> {
      for (std::size_t i = 0; i < each_tries; ++i) {
        if (co_await co::acquire(permits, std::chrono::microseconds(i % 7 * 40))) had.fetch_add(1);
      }
    };
    std::vector<task_handle<>> handles;
    for (int i = 0; i < 8; ++i) handles.push_back(spawn(tries()));
    std::size_t given = 0;
    for (std::size_t i = 0; i < each_tries * 4; ++i) {
      permits.release();
      ++given;
      this_thread::yield();
    }
    for (auto& each : handles) each.join();
    while (permits.try_acquire()) had.fetch_add(1);
    EXPECT_EQ(had.load(), given);
  });
}

TYPED_TEST(TaskWaits, AStopAgainstAGrant) {
  this->in([&] {
    for (std::size_t i = 0; i < scaled(100, this->own_kernel_threads); ++i) {
      std::stop_source source;
      binary_semaphore permit(0);
      const auto waits = [&]() -> task<bool> {
        co_return co_await co::acquire(permit, source.get_token());
      };
      auto handle = spawn(waits());
      thread granter([&] { permit.release(); });
      source.request_stop();
      granter.join();
      const bool had = handle.join();
      EXPECT_NE(had, permit.try_acquire());
    }
  });
}

TYPED_TEST(TaskWaits, LimitsOfMutexAndChannelGiveUp) {
  this->in([] {
    timed_mutex guard;
    channel<int> line(0);
    const auto gives_up = [&]() -> task<int> {
      int ended = 0;
      {
        const auto hold = co_await co::lock(guard, 1ms);
        if (!hold) ++ended;
      }
      const channel_status sent = co_await co::send(line, 1, 1ms);
      if (sent == channel_status::gave_up) ++ended;
      const auto got = co_await co::receive(line, 1ms);
      if (got.status() == channel_status::gave_up) ++ended;
      co_return ended;
    };
    guard.lock();
    EXPECT_EQ(block_on(gives_up()), 3);
    guard.unlock();
    const auto takes = [&]() -> task<bool> {
      const auto hold = co_await co::lock(guard, 10min);
      co_return hold.owns_lock();
    };
    EXPECT_TRUE(block_on(takes()));
    EXPECT_TRUE(guard.try_lock());
    guard.unlock();
  });
}

// The waiter destroys what it waited for as soon as it is awake, while the waker comes back.
TYPED_TEST(TaskWaits, DestroyRightAfterTheWakeUp) {
  this->in([&] {
    const auto owner = [](std::shared_ptr<std::atomic<binary_semaphore*>> where) -> task<> {
      auto mine = std::make_unique<binary_semaphore>(0);
      where->store(mine.get());
      co_await co::acquire(*mine);
      mine.reset();
    };
    const std::size_t count = scaled(500, this->own_kernel_threads);
    for (std::size_t i = 0; i < count; ++i) {
      auto where = std::make_shared<std::atomic<binary_semaphore*>>(nullptr);
      auto handle = spawn(owner(where));
      binary_semaphore* found = nullptr;
      testing_support::eventually([&] { return (found = where->load()) != nullptr; });
      found->release();
      handle.join();
    }
  });
}

}  // namespace
}  // namespace treadle
