// Limits of waits in every model: each wait of the core is asked the same questions, among them
// races of a stop against a grant, of which exactly one must win.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/limited_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;
using testing_support::stopped_token;
using testing_support::with_every_wait;
using testing_support::yield_times;

template <class Model>
class Stop : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Stop, every_model, model_names);

TYPED_TEST(Stop, LimitsThatHaveEndedOnlyLook) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      Wait w;
      thread other([&w] {
        EXPECT_FALSE(w.wait(0s)) << Wait::name;
        EXPECT_FALSE(w.wait(-1h)) << Wait::name;
        EXPECT_FALSE(w.wait(std::chrono::nanoseconds::min())) << Wait::name;
        EXPECT_FALSE(w.wait(steady_clock::time_point::min())) << Wait::name;
        EXPECT_FALSE(w.wait(steady_clock::now())) << Wait::name;
        EXPECT_FALSE(w.wait(std::chrono::system_clock::now() - 1h)) << Wait::name;
        EXPECT_FALSE(w.wait(stopped_token())) << Wait::name;
        EXPECT_FALSE(w.wait({1h, stopped_token()})) << Wait::name;
        EXPECT_FALSE(w.wait({0s, stop_token()})) << Wait::name;
      });
      other.join();
      w.grant();
      EXPECT_TRUE(w.is_whole(false)) << Wait::name;
    });
  });
}

TYPED_TEST(Stop, WhatIsThereIsTakenAfterTheLimitToo) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      for (int which = 0; which < 3; ++which) {
        Wait w;
        w.grant();
        bool got = false;
        // A join is granted when the thread has ended, which takes a moment.
        const wait_limit ended[] = {0s, stopped_token(), {-1s, stopped_token()}};
        eventually([&] { return got = w.wait(ended[which]); });
        EXPECT_TRUE(w.is_whole(got)) << Wait::name;
      }
    });
  });
}

TYPED_TEST(Stop, ATimeOutIsNeverEarly) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      Wait w;
      const stop_source never;
      thread other([&] {
        const auto before = steady_clock::now();
        EXPECT_FALSE(w.wait(1ms)) << Wait::name;
        EXPECT_GE(steady_clock::now() - before, 1ms) << Wait::name;
        const auto until = steady_clock::now() + 1ms;
        EXPECT_FALSE(w.wait({until, never.get_token()})) << Wait::name;
        EXPECT_GE(steady_clock::now(), until) << Wait::name;
      });
      other.join();
      w.grant();
      EXPECT_TRUE(w.is_whole(false)) << Wait::name;
    });
  });
}

TYPED_TEST(Stop, GrantsEndWaitsWithoutEnd) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      const stop_source never;
      const wait_limit limits[] = {{},
                                   1h,
                                   steady_clock::time_point::max(),
                                   std::chrono::hours::max(),
                                   never.get_token(),
                                   {std::chrono::hours::max(), never.get_token()}};
      for (const wait_limit& limit : limits) {
        Wait w;
        bool got = false;
        thread other([&] { got = w.wait(limit); });
        yield_times(10);
        w.grant();
        other.join();
        EXPECT_TRUE(got) << Wait::name;
        EXPECT_TRUE(w.is_whole(got)) << Wait::name;
      }
    });
  });
}

TYPED_TEST(Stop, AStopEndsAWait) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      for (int yields = 0; yields < 20; ++yields) {
        Wait w;
        stop_source source;
        bool got = true;
        thread other([&] {
          got = w.wait(yields % 2 == 0 ? wait_limit(source.get_token())
                                       : wait_limit(1h, source.get_token()));
          EXPECT_TRUE(source.stop_requested()) << Wait::name;
        });
        yield_times(static_cast<std::size_t>(yields));
        source.request_stop();
        other.join();
        EXPECT_FALSE(got) << Wait::name;
        w.grant();
        EXPECT_TRUE(w.is_whole(got)) << Wait::name;
      }
    });
  });
}

TYPED_TEST(Stop, AForeignKernelThreadStops) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      for (int i = 0; i < 5; ++i) {
        Wait w;
        stop_source source;
        bool got = true;
        thread other([&] { got = w.wait(source.get_token()); });
        std::jthread foreign([&] { source.request_stop(); });
        other.join();
        EXPECT_FALSE(got) << Wait::name;
        w.grant();
        EXPECT_TRUE(w.is_whole(got)) << Wait::name;
      }
    });
  });
}

TYPED_TEST(Stop, ForeignKernelThreadsAreStopped) {
  with_every_wait([this]<class Wait>() {
    for (int i = 0; i < 5; ++i) {
      Wait w;
      stop_source source;
      bool got = true;
      std::thread foreign([&] { got = w.wait(source.get_token()); });
      this->in([&] {
        yield_times(static_cast<std::size_t>(i) * 50);
        source.request_stop();
      });
      foreign.join();
      EXPECT_FALSE(got) << Wait::name;
      w.grant();
      EXPECT_TRUE(w.is_whole(got)) << Wait::name;
    }
  });
}

// The steps of stop, grant and wait in all kinds of orders: by yields where the model is one
// worker, by themselves elsewhere.
TYPED_TEST(Stop, OfStopAndGrantExactlyOneWins) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      std::size_t granted = 0;
      const std::size_t rounds = scaled(2000, TestFixture::own_kernel_threads);
      for (std::size_t i = 0; i < rounds; ++i) {
        Wait w;
        stop_source source;
        bool got = false;
        thread stopper([&, i] {
          yield_times(i % 4);
          source.request_stop();
        });
        thread waiter([&, i] {
          yield_times(i / 4 % 4);
          got = w.wait(source.get_token());
        });
        yield_times(i / 16 % 4);
        w.grant();
        waiter.join();
        stopper.join();
        granted += got ? 1 : 0;
        ASSERT_TRUE(w.is_whole(got)) << Wait::name << ", round " << i;
      }
      EXPECT_LE(granted, rounds) << Wait::name;
    });
  });
}

TYPED_TEST(Stop, OfStopGrantAndTimeOutExactlyOneWins) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      const std::size_t rounds = scaled(1000, TestFixture::own_kernel_threads);
      for (std::size_t i = 0; i < rounds; ++i) {
        Wait w;
        stop_source source;
        bool got = false;
        thread waiter([&, i] {
          got = w.wait({std::chrono::microseconds(i * 7 % 40), source.get_token()});
        });
        thread stopper([&, i] {
          this_thread::sleep_for(std::chrono::microseconds(i * 11 % 40));
          source.request_stop();
        });
        this_thread::sleep_for(std::chrono::microseconds(i * 13 % 40));
        w.grant();
        waiter.join();
        stopper.join();
        ASSERT_TRUE(w.is_whole(got)) << Wait::name << ", round " << i;
      }
    });
  });
}

// One stop for all: every waiter comes back, the permits that were released are all accounted for.
TYPED_TEST(Stop, NoPermitIsLostAmongStops) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      counting_semaphore<> permits(0);
      stop_source source;
      std::atomic<int> taken{0};
      std::vector<thread> threads;
      for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&] {
          while (permits.try_acquire(source.get_token())) taken.fetch_add(1);
        });
      }
      thread giver([&] {
        for (int i = 0; i < 100; ++i) {
          permits.release();
          if (i % 7 == 0) this_thread::yield();
        }
      });
      yield_times(round % 10);
      source.request_stop();
      for (thread& t : threads) t.join();
      giver.join();
      while (permits.try_acquire()) taken.fetch_add(1);
      EXPECT_EQ(taken, 100);
    }
  });
}

// A mutex under contention of which half the waiters give up.
TYPED_TEST(Stop, AMutexStaysExclusiveAmongStops) {
  this->in([] {
    timed_mutex guard;
    std::size_t value = 0;  // plain: the mutex orders it
    std::atomic<std::size_t> entered{0};
    std::vector<thread> threads;
    for (std::size_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < scaled(200, TestFixture::own_kernel_threads); ++i) {
          stop_source source;
          const thread stopper([&] { source.request_stop(); });
          if (guard.try_lock(source.get_token())) {
            ++value;
            if ((i + t) % 3 == 0) this_thread::yield();
            entered.fetch_add(1);
            guard.unlock();
          }
          const_cast<thread&>(stopper).join();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(value, entered);
    EXPECT_TRUE(guard.try_lock());
    guard.unlock();
  });
}

// Who got the permit destroys the semaphore, while a stop callback for that wait may still run.
TYPED_TEST(Stop, DestroyedRightAfterTheGrant) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(1000, TestFixture::own_kernel_threads); ++i) {
      auto done = std::make_unique<binary_semaphore>(0);
      stop_source source;
      thread giver([&, raw = done.get()] { raw->release(); });
      thread stopper([&, i] {
        yield_times(i % 3);
        source.request_stop();
      });
      while (!done->try_acquire(source.get_token())) {
      }
      done.reset();
      giver.join();
      stopper.join();
    }
  });
}

// On one worker too: a loop of waits that cannot begin lets others run.
TYPED_TEST(Stop, AStoppedWaitIsASchedulingPoint) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      Wait w;
      bool got = false;
      std::atomic<bool> started{false};
      thread other([&] {
        const stop_token stopped = stopped_token();
        started = true;
        while (!w.wait(stopped)) {
        }
        got = true;
      });
      eventually([&] { return started.load(); });
      w.grant();
      other.join();
      EXPECT_TRUE(w.is_whole(got)) << Wait::name;
    });
  });
}

}  // namespace
}  // namespace treadle
