// Waits that end early leave their nodes in the queue: against a reference that knows only who
// waits and until when; and with kernel threads that fire while others arm and disarm.
#include "treadle/sched/timer_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace treadle::core {
namespace {

struct sleeper {
  sleeper() { body.owner.store(&record, base::relaxed); }  // relaxed: before any other thread
  thread record;
  thread_body body;
  std::int64_t until = timer_queue::no_deadline;  // by the reference: not armed
};

TEST(TimerQueue, AgreesWithAReferenceThatLeavesNothingBehind) {
  constexpr std::size_t sleepers = 100;
  constexpr int rounds = 40'000;
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    std::mt19937_64 random(seed);
    std::vector<sleeper> all(sleepers);
    std::vector<timer_queue> queues(2);
    std::int64_t now = 1'000'000;
    const auto some = [&](unsigned bits) {
      return static_cast<std::int64_t>(random() >> (63 - random() % bits));
    };
    for (int round = 0; round < rounds; ++round) {
      sleeper& one = all[random() % sleepers];
      thread_body& body = one.body;
      if (one.until != timer_queue::no_deadline) {
        if (random() % 4 != 0) {
          ASSERT_FALSE(timer_queue::disarm(body));
          one.until = timer_queue::no_deadline;
        }
      } else if (random() % 8 == 0) {
        timer_queue::forget(body);
        ASSERT_EQ(body.timer.place, base::timer_node::unqueued);
        ASSERT_EQ(body.timers, nullptr);
      } else {
        one.until = now + 1 + some(36);
        queues[random() % 2].arm(body, base::deadline::at(one.until), now);
      }
      if (random() % 8 != 0) continue;
      now += some(30);
      for (timer_queue& queue : queues) {
        thread* due[5];
        while (queue.has_expired(now)) {
          const std::size_t count = queue.pop_expired(now, due, 5);
          for (std::size_t i = 0; i < count; ++i) {
            const auto at = std::find_if(all.begin(), all.end(),
                                         [&](const sleeper& s) { return &s.record == due[i]; });
            ASSERT_NE(at, all.end());
            ASSERT_LE(at->until, now);
            ASSERT_TRUE(timer_queue::disarm(at->body));
            at->until = timer_queue::no_deadline;
          }
        }
      }
      for (const sleeper& each : all) ASSERT_GT(each.until, now) << "overslept";
    }
    for (sleeper& each : all) {
      if (each.until != timer_queue::no_deadline) {
        ASSERT_FALSE(timer_queue::disarm(each.body));
      }
      timer_queue::forget(each.body);
    }
    for (timer_queue& queue : queues) {
      EXPECT_TRUE(queue.wheel.empty());
      EXPECT_EQ(queue.armed_about(), 0U);
      EXPECT_FALSE(queue.has_expired(timer_queue::no_deadline - 1));
    }
  }
}

TEST(TimerQueue, NobodyIsDueWhenNobodyIsArmed) {
  timer_queue queue;
  sleeper one;
  queue.arm(one.body, base::deadline::at(100), 1);
  EXPECT_TRUE(queue.has_expired(100));
  EXPECT_FALSE(timer_queue::disarm(one.body));
  EXPECT_FALSE(queue.has_expired(100)) << "an early end leaves nothing to wake up for";
  queue.arm(one.body, base::deadline::at(300), 2);
  thread* due = nullptr;
  EXPECT_EQ(queue.pop_expired(299, &due, 1), 0U);
  EXPECT_FALSE(queue.has_expired(299));
  EXPECT_EQ(queue.pop_expired(300, &due, 1), 1U);
  EXPECT_EQ(due, &one.record);
  EXPECT_TRUE(timer_queue::disarm(one.body));
}

// Each sleeper's kernel thread arms, waits for a moment and disarms, in either queue in turn; two
// others fire. Every timer that fired was reported to both sides.
TEST(TimerQueue, FiresBesideThoseWhoArm) {
  constexpr std::size_t sleepers = 3;
  constexpr int rounds = 3000;
  std::vector<sleeper> all(sleepers);
  std::vector<timer_queue> queues(2);
  std::atomic<bool> stop{false};
  std::atomic<int> fired{0};
  std::atomic<int> timed_out{0};
  std::vector<std::thread> threads;
  for (std::size_t index = 0; index < sleepers; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937_64 random(index);
      thread_body& body = all[index].body;
      for (int round = 0; round < rounds; ++round) {
        const std::int64_t now = base::monotonic_now();
        const auto span = static_cast<std::int64_t>(random() % 4 == 0 ? 1'000'000'000 : 20'000);
        queues[random() % 2].arm(body, base::deadline::at(now + span), now);
        const std::int64_t waits = now + static_cast<std::int64_t>(random() % 40'000);
        while (base::monotonic_now() < waits) std::this_thread::yield();
        if (timer_queue::disarm(body)) ++timed_out;
      }
      timer_queue::forget(body);
    });
  }
  std::vector<std::thread> watchers;
  for (int i = 0; i < 2; ++i) {
    watchers.emplace_back([&] {
      while (!stop) {
        for (timer_queue& queue : queues) {
          const std::int64_t now = base::monotonic_now();
          thread* due[2];
          if (queue.has_expired(now)) fired += static_cast<int>(queue.pop_expired(now, due, 2));
        }
        std::this_thread::yield();
      }
    });
  }
  for (std::thread& each : threads) each.join();
  stop = true;
  for (std::thread& each : watchers) each.join();
  EXPECT_EQ(fired, timed_out);
  for (timer_queue& queue : queues) EXPECT_TRUE(queue.wheel.empty());
}

}  // namespace
}  // namespace treadle::core
