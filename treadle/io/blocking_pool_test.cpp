// The pool by itself, from foreign kernel threads: order, bounds, withdrawal, refused threads.
#include "treadle/io/blocking_pool.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "treadle/base/system_call.hpp"
#include "treadle/io/pool_call.hpp"

namespace treadle::io {
namespace {

void eventually(const std::function<bool()>& condition) {
  while (!condition()) ::sched_yield();
}

// A request that waits for a gate and notes when it ran.
struct job : blocking_request {
  explicit job(std::function<void()> what) : blocking_request(&job::go), deed(std::move(what)) {}
  static void go(blocking_request& request) noexcept {
    auto& mine = static_cast<job&>(request);
    mine.deed();
    mine.over.store(true);
  }
  std::function<void()> deed;
  std::atomic<bool> over{false};
};

TEST(BlockingPool, OneThreadRunsAllInOrder) {
  blocking_pool pool(1);
  std::vector<int> order;  // one thread writes it
  std::atomic<bool> open{false};
  std::vector<std::unique_ptr<job>> jobs;
  for (int i = 0; i < 100; ++i) {
    jobs.push_back(std::make_unique<job>([&, i] {
      eventually([&] { return open.load(); });
      order.push_back(i);
    }));
  }
  for (auto& each : jobs) pool.submit(*each);
  eventually([&] { return pool.counters().busy == 1; });
  EXPECT_EQ(pool.counters().threads, 1U);
  EXPECT_EQ(pool.counters().queued, 99U);
  open = true;
  eventually([&] { return pool.counters().done == 100; });
  EXPECT_EQ(pool.counters().queued, 0U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(BlockingPool, NeverMoreThreadsThanAllowed) {
  blocking_pool pool(3);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::unique_ptr<job>> jobs;
  for (int i = 0; i < 200; ++i) {
    jobs.push_back(std::make_unique<job>([&] {
      const int now = inside.fetch_add(1) + 1;
      int seen = most.load();
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      ::sched_yield();
      inside.fetch_sub(1);
    }));
    pool.submit(*jobs.back());
  }
  eventually([&] { return pool.counters().done == 200; });
  EXPECT_LE(most, 3);
  EXPECT_LE(pool.counters().threads, 3U);
}

TEST(BlockingPool, WithdrawnRequestsNeverRun) {
  blocking_pool pool(1);
  std::atomic<bool> open{false};
  std::atomic<int> ran{0};
  job blocker([&] { eventually([&] { return open.load(); }); });
  pool.submit(blocker);
  eventually([&] { return pool.counters().busy == 1; });
  EXPECT_FALSE(pool.withdraw(blocker));
  std::vector<std::unique_ptr<job>> jobs;
  for (int i = 0; i < 9; ++i) {
    jobs.push_back(std::make_unique<job>([&] { ran.fetch_add(1); }));
    pool.submit(*jobs.back());
  }
  // First, last and one in the middle: each is linked differently.
  for (const std::size_t which : {0, 8, 4}) {
    EXPECT_TRUE(pool.withdraw(*jobs[which]));
    EXPECT_FALSE(pool.withdraw(*jobs[which]));
  }
  EXPECT_EQ(pool.counters().queued, 6U);
  open = true;
  eventually([&] { return pool.counters().done == 7; });
  EXPECT_EQ(ran, 6);
  EXPECT_FALSE(jobs[0]->over.load());
}

TEST(BlockingPool, IdleThreadsEnd) {
  blocking_pool pool(4, 1'000'000);
  for (int round = 0; round < 20; ++round) {
    job one([] {});
    job two([] {});
    pool.submit(one);
    pool.submit(two);
    eventually([&] { return one.over && two.over; });
    if (round % 5 == 0) eventually([&] { return pool.counters().threads == 0; });
  }
  eventually([&] { return pool.counters().done == 40; });
}

TEST(BlockingPool, FewerThreadsAllowedEndsTheSurplus) {
  blocking_pool pool(4);
  std::atomic<bool> open{false};
  std::vector<std::unique_ptr<job>> jobs;
  for (int i = 0; i < 4; ++i) {
    jobs.push_back(std::make_unique<job>([&] { eventually([&] { return open.load(); }); }));
    pool.submit(*jobs.back());
  }
  eventually([&] { return pool.counters().busy == 4; });
  pool.set_threads_max(2);
  open = true;
  eventually([&] { return pool.counters().threads == 2 && pool.counters().done == 4; });
}

// Submitters of all kinds against threads that come and go.
TEST(BlockingPool, NothingIsLostWhileThreadsComeAndGo) {
  blocking_pool pool(3, 10'000);
  constexpr int each = 500;
  std::atomic<int> ran{0};
  std::atomic<int> withdrawn{0};
  std::vector<std::thread> submitters;
  for (int s = 0; s < 4; ++s) {
    submitters.emplace_back([&, s] {
      for (int i = 0; i < each; ++i) {
        job mine([&] { ran.fetch_add(1); });
        pool.submit(mine);
        if ((i + s) % 3 == 0 && pool.withdraw(mine)) {
          withdrawn.fetch_add(1);
          continue;
        }
        eventually([&] { return mine.over.load(); });
        if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(30));
      }
    });
  }
  for (std::thread& t : submitters) t.join();
  EXPECT_EQ(ran + withdrawn, 4 * each);
  eventually([&] { return pool.counters().busy == 0; });
}

// ---- refused kernel threads ----

class RefusedThreads : public ::testing::Test {
 protected:
  ~RefusedThreads() override { base::fail_nth(base::faulty_call::thread_create, 0, 0); }
};

TEST_F(RefusedThreads, WithNoneAtAllTheSubmitterRunsIt) {
  base::fail_from(base::faulty_call::thread_create, 1, EAGAIN);
  blocking_pool pool(4);
  errno = 77;
  for (int i = 0; i < 10; ++i) {
    const std::thread::id here = std::this_thread::get_id();
    std::thread::id there;
    job one([&] { there = std::this_thread::get_id(); });
    pool.submit(one);
    EXPECT_TRUE(one.over);
    EXPECT_EQ(there, here);
  }
  EXPECT_EQ(errno, 77);
  EXPECT_EQ(pool.counters().threads, 0U);
}

TEST_F(RefusedThreads, TheOnesThatExistServeAll) {
  blocking_pool pool(4);
  base::fail_from(base::faulty_call::thread_create, 2, EAGAIN);
  std::atomic<bool> open{false};
  std::vector<std::unique_ptr<job>> jobs;
  for (int i = 0; i < 20; ++i) {
    jobs.push_back(std::make_unique<job>([&] { eventually([&] { return open.load(); }); }));
    pool.submit(*jobs.back());
  }
  EXPECT_EQ(pool.counters().threads, 1U);
  open = true;
  eventually([&] { return pool.counters().done == 20; });
}

TEST_F(RefusedThreads, NothingIsLostWhenEverySecondIsRefused) {
  blocking_pool pool(4, 10'000);
  std::atomic<bool> over{false};
  std::thread saboteur([&] {
    while (!over) {
      base::fail_nth(base::faulty_call::thread_create, 1, EAGAIN);
      ::sched_yield();
    }
  });
  std::atomic<int> ran{0};
  std::vector<std::thread> submitters;
  for (int s = 0; s < 4; ++s) {
    submitters.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        job mine([&] { ran.fetch_add(1); });
        pool.submit(mine);
        eventually([&] { return mine.over.load(); });
        if (i % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(30));
      }
    });
  }
  for (std::thread& t : submitters) t.join();
  over = true;
  saboteur.join();
  EXPECT_EQ(ran, 1200);
}

// ---- calls that may be left behind ----

std::atomic<int> calls_alive{0};
std::atomic<int> calls_undone{0};

struct counted_call final : pool_call {
  explicit counted_call(int rounds) : rounds_(rounds) { calls_alive.fetch_add(1); }
  ~counted_call() override { calls_alive.fetch_sub(1); }
  void work() noexcept override {
    for (int i = 0; i < rounds_; ++i) ::sched_yield();
    result = 42;
    errno = 5;
  }
  void undo() noexcept override { calls_undone.fetch_add(1); }
  int result = 0;

 private:
  int rounds_;
};

TEST(PoolCall, OfCompletionTimeOutAndStopExactlyOneWins) {
  calls_undone = 0;
  int done = 0;
  int timed_out = 0;
  int stopped = 0;
  for (int i = 0; i < 3000; ++i) {
    std::unique_ptr<pool_call> call = std::make_unique<counted_call>(i % 7);
    std::stop_source source;
    std::thread stopper;
    wait_limit limit = std::chrono::microseconds(i % 60);
    if (i % 3 == 0) {
      limit = wait_limit(source.get_token());
      stopper = std::thread([&] { source.request_stop(); });
    }
    switch (run_on_pool(call, limit)) {
      case wait_end::done:
        ASSERT_NE(call, nullptr);
        EXPECT_EQ(static_cast<counted_call&>(*call).result, 42);
        EXPECT_EQ(call->error(), 5);
        ++done;
        break;
      case wait_end::timed_out:
        ASSERT_EQ(call, nullptr);
        ++timed_out;
        break;
      case wait_end::stopped:
        ASSERT_EQ(call, nullptr);
        ++stopped;
        break;
    }
    if (stopper.joinable()) stopper.join();
  }
  eventually([] { return calls_alive == 0; });
  EXPECT_EQ(done + timed_out + stopped, 3000);
  EXPECT_LE(calls_undone, timed_out + stopped);
  RecordProperty("done", done);
  RecordProperty("timed_out", timed_out);
  RecordProperty("stopped", stopped);
}

TEST(PoolCall, CallOnPoolHandsErrnoOverBothWays) {
  errno = 11;
  EXPECT_EQ(call_on_pool([] { return errno; }), 11);
  EXPECT_EQ(errno, 11);
  EXPECT_EQ(call_on_pool([] {
              errno = EBADF;
              return -1;
            }),
            -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace treadle::io
