// condition_variable in every model: no notification is lost, time-outs are never early.
#include <treadle/condition_variable.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>
#include <treadle/mutex.hpp>
#include <vector>

#include "tests/support/condition_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::destroy_right_after_notify_all;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::lose_no_ticket;
using testing_support::model_names;
using testing_support::play_ping_pong;
using testing_support::scaled;

template <class Model>
class ConditionVariable : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ConditionVariable, every_model, model_names);

static_assert(!std::is_copy_constructible_v<condition_variable>);
static_assert(std::is_standard_layout_v<condition_variable>);
static_assert(std::is_same_v<cv_status, std::cv_status>);

TYPED_TEST(ConditionVariable, PingPongLosesNothing) {
  this->in([] { play_ping_pong<condition_variable, mutex>(scaled(5000, true)); });
}

TYPED_TEST(ConditionVariable, BoundedBufferDeliversEachItemOnce) {
  this->in([] {
    mutex m;
    condition_variable not_full;
    condition_variable not_empty;
    std::deque<std::size_t> buffer;
    constexpr std::size_t room = 3;
    constexpr std::size_t producers = 4;
    constexpr std::size_t consumers = 5;
    const std::size_t each = scaled(1000);
    const std::size_t items = producers * each;
    std::size_t taken = 0;
    std::vector<std::size_t> seen(items, 0);
    std::vector<thread> threads;
    for (std::size_t p = 0; p < producers; ++p) {
      threads.emplace_back([&, p] {
        for (std::size_t i = 0; i < each; ++i) {
          std::unique_lock hold(m);
          not_full.wait(hold, [&] { return buffer.size() < room; });
          buffer.push_back(p * each + i);
          hold.unlock();  // half of the notifications come without the lock
          not_empty.notify_one();
        }
      });
    }
    for (std::size_t c = 0; c < consumers; ++c) {
      threads.emplace_back([&] {
        for (;;) {
          std::unique_lock hold(m);
          not_empty.wait(hold, [&] { return !buffer.empty() || taken == items; });
          if (buffer.empty()) return;
          ++seen[buffer.front()];
          buffer.pop_front();
          if (++taken == items) not_empty.notify_all();
          not_full.notify_one();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(seen, std::vector<std::size_t>(items, 1));
  });
}

TYPED_TEST(ConditionVariable, NotifyOneServesOneEach) {
  this->in([] {
    mutex m;
    condition_variable changed;
    int waiting = 0;
    int tickets = 0;
    int served = 0;
    constexpr int count = 10;
    std::vector<thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        std::unique_lock hold(m);
        ++waiting;
        changed.wait(hold, [&] { return tickets > 0; });
        --tickets;
        ++served;
      });
    }
    const auto all_wait = [&] {
      const std::lock_guard hold(m);
      return waiting == count;
    };
    eventually(all_wait);
    for (int i = 1; i <= count; ++i) {
      {
        const std::lock_guard hold(m);
        ++tickets;
      }
      changed.notify_one();
      eventually([&] {
        const std::lock_guard hold(m);
        return served == i;
      });
      const std::lock_guard hold(m);
      EXPECT_EQ(tickets, 0);
    }
    for (thread& t : threads) t.join();
  });
}

TYPED_TEST(ConditionVariable, NotifyAllWakesAThousand) {
  this->in([] {
    mutex m;
    condition_variable changed;
    const std::size_t count = 1000;
    std::size_t waiting = 0;
    std::size_t awake = 0;
    bool go = false;
    std::vector<thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        std::unique_lock hold(m);
        ++waiting;
        changed.wait(hold, [&] { return go; });
        ++awake;
      });
    }
    eventually([&] {
      const std::lock_guard hold(m);
      return waiting == count;
    });
    {
      const std::lock_guard hold(m);
      EXPECT_EQ(awake, 0U);
      go = true;
      changed.notify_all();
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(awake, count);
  });
}

TYPED_TEST(ConditionVariable, ANotificationIsNotKept) {
  this->in([] {
    mutex m;
    condition_variable changed;
    changed.notify_one();
    changed.notify_all();
    std::unique_lock hold(m);
    EXPECT_FALSE(changed.wait_for(hold, 1ms, [] { return false; }));
    EXPECT_TRUE(hold.owns_lock());
  });
}

TYPED_TEST(ConditionVariable, TimeOutsAreNeverEarly) {
  this->in([] {
    mutex m;
    condition_variable changed;
    std::unique_lock hold(m);
    const auto before = steady_clock::now();
    // Nobody notifies, and our waits do not wake for no reason.
    EXPECT_EQ(changed.wait_for(hold, 2ms), cv_status::timeout);
    EXPECT_GE(steady_clock::now() - before, 2ms);
    const auto until = steady_clock::now() + 1ms;
    EXPECT_EQ(changed.wait_until(hold, until), cv_status::timeout);
    EXPECT_GE(steady_clock::now(), until);
    const auto wall = std::chrono::system_clock::now() + 1ms;
    EXPECT_FALSE(changed.wait_until(hold, wall, [] { return false; }));
    EXPECT_GE(std::chrono::system_clock::now(), wall);
    EXPECT_EQ(changed.wait_for(hold, -1s), cv_status::timeout);
    EXPECT_EQ(changed.wait_until(hold, steady_clock::time_point::min()), cv_status::timeout);
    EXPECT_TRUE(hold.owns_lock());
  });
}

TYPED_TEST(ConditionVariable, PredicateForms) {
  this->in([] {
    mutex m;
    condition_variable changed;
    std::unique_lock hold(m);
    changed.wait(hold, [] { return true; });
    EXPECT_TRUE(changed.wait_for(hold, -1s, [] { return true; }));
    EXPECT_TRUE(changed.wait_until(hold, steady_clock::now() - 1s, [] { return true; }));
    int looks = 0;
    EXPECT_FALSE(changed.wait_for(hold, 0s, [&looks] {
      ++looks;
      return false;
    }));
    EXPECT_GE(looks, 1);
  });
}

TYPED_TEST(ConditionVariable, NotifiedBeforeTheDeadline) {
  this->in([] {
    mutex m;
    condition_variable changed;
    bool ready = false;
    thread notifier([&] {
      const std::lock_guard hold(m);
      ready = true;
      changed.notify_one();
    });
    std::unique_lock hold(m);
    EXPECT_TRUE(changed.wait_for(hold, 1h, [&] { return ready; }));
    hold.unlock();
    notifier.join();
  });
}

TYPED_TEST(ConditionVariable, TheLockIsHeldAgainAfterEveryWait) {
  this->in([] {
    mutex m;
    condition_variable changed;
    std::size_t counter = 0;
    std::vector<thread> threads;
    const std::size_t rounds = scaled(200);
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        std::unique_lock hold(m);
        for (std::size_t i = 0; i < rounds; ++i) {
          static_cast<void>(changed.wait_for(hold, std::chrono::microseconds(i % 30)));
          ++counter;
          changed.notify_one();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(counter, 8 * rounds);
  });
}

TYPED_TEST(ConditionVariable, NoTicketIsLostAmongTimeOuts) {
  this->in([] { lose_no_ticket<condition_variable, mutex>(scaled(1500), 10, 2); });
}

TYPED_TEST(ConditionVariable, DestroyedRightAfterNotifyAll) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(200); ++round) {
      destroy_right_after_notify_all<condition_variable, mutex>(4);
    }
  });
}

TYPED_TEST(ConditionVariable, ForeignKernelThreadsWaitAndNotify) {
  mutex m;
  condition_variable changed;
  std::size_t turn = 0;
  const std::size_t rounds = scaled(300);
  const auto play = [&](std::size_t me) {
    for (std::size_t i = 0; i < rounds; ++i) {
      std::unique_lock hold(m);
      changed.wait(hold, [&] { return turn % 3 == me; });
      ++turn;
      changed.notify_all();
    }
  };
  std::thread foreign(play, 0);
  std::thread starter([&] { this->in([&] { play(1); }); });
  play(2);
  foreign.join();
  starter.join();
  EXPECT_EQ(turn, 3 * rounds);
}

}  // namespace
}  // namespace treadle
