// Semaphores, latch and call_once in every model.
#include <treadle/semaphore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <treadle/latch.hpp>
#include <treadle/mutex.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Semaphore : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Semaphore, every_model, model_names);

static_assert(counting_semaphore<5>::max() >= 5);
static_assert(binary_semaphore::max() >= 1);
static_assert(!std::is_copy_constructible_v<binary_semaphore>);

TYPED_TEST(Semaphore, CountsUpAndDown) {
  this->in([] {
    counting_semaphore<10> s(2);
    s.acquire();
    EXPECT_TRUE(s.try_acquire());
    EXPECT_FALSE(s.try_acquire());
    s.release(3);
    s.release(0);
    EXPECT_TRUE(s.try_acquire());
    EXPECT_TRUE(s.try_acquire());
    s.acquire();
    EXPECT_FALSE(s.try_acquire());
  });
}

TYPED_TEST(Semaphore, HandOffsLoseNothing) {
  this->in([] {
    binary_semaphore ping(0);
    binary_semaphore pong(0);
    std::size_t value = 0;  // plain: the semaphores order it
    const std::size_t rounds = scaled(5000, true);
    thread other([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        ping.acquire();
        ++value;
        pong.release();
      }
    });
    for (std::size_t i = 0; i < rounds; ++i) {
      const std::size_t before = value;
      ping.release();
      pong.acquire();
      ASSERT_EQ(value, before + 1);
    }
    other.join();
  });
}

TYPED_TEST(Semaphore, ReleaseOfManyWakesAsMany) {
  this->in([] {
    counting_semaphore<> s(0);
    std::atomic<int> through{0};
    std::vector<thread> threads;
    for (int i = 0; i < 30; ++i) {
      threads.emplace_back([&] {
        s.acquire();
        through.fetch_add(1);
      });
    }
    for (int released = 0; released < 30; released += 10) {
      s.release(10);
      eventually([&] { return through == released + 10; });
      for (int i = 0; i < 20; ++i) this_thread::yield();
      EXPECT_EQ(through, released + 10);
    }
    for (thread& t : threads) t.join();
    EXPECT_FALSE(s.try_acquire());
  });
}

TYPED_TEST(Semaphore, NeverMoreInsideThanPermits) {
  this->in([] {
    constexpr int permits = 3;
    counting_semaphore<permits> s(permits);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::vector<thread> threads;
    for (int t = 0; t < 15; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < scaled(300); ++i) {
          s.acquire();
          const int now = inside.fetch_add(1) + 1;
          int seen = most.load();
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          if (i % 4 == 0) this_thread::yield();
          inside.fetch_sub(1);
          s.release();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_LE(most, permits);
  });
}

TYPED_TEST(Semaphore, TimedWaits) {
  this->in([] {
    binary_semaphore s(0);
    const auto before = steady_clock::now();
    EXPECT_FALSE(s.try_acquire_for(1ms));
    EXPECT_GE(steady_clock::now() - before, 1ms);
    const auto until = steady_clock::now() + 1ms;
    EXPECT_FALSE(s.try_acquire_until(until));
    EXPECT_GE(steady_clock::now(), until);
    EXPECT_FALSE(s.try_acquire_for(-1s));
    EXPECT_FALSE(s.try_acquire_until(steady_clock::time_point::min()));
    thread t([&s] { s.release(); });
    EXPECT_TRUE(s.try_acquire_for(1h));
    t.join();
    // As long as the clock goes: no overflow into the past.
    thread u([&s] {
      for (int i = 0; i < 10; ++i) this_thread::yield();
      s.release();
    });
    EXPECT_TRUE(s.try_acquire_until(steady_clock::time_point::max()));
    u.join();
    thread v([&s] {
      for (int i = 0; i < 10; ++i) this_thread::yield();
      s.release();
    });
    EXPECT_TRUE(s.try_acquire_for(std::chrono::hours::max()));
    v.join();
    thread w([&s] {
      for (int i = 0; i < 10; ++i) this_thread::yield();
      s.release();
    });
    EXPECT_TRUE(s.try_acquire_until(std::chrono::system_clock::time_point::max()));
    w.join();
    EXPECT_FALSE(s.try_acquire_until(std::chrono::system_clock::time_point::min()));
    s.release();
    EXPECT_TRUE(s.try_acquire_for(-1s));
  });
}

// Permits are conserved: what timed waiters do not take is there at the end.
TYPED_TEST(Semaphore, NoPermitIsLostAmongTimeOuts) {
  this->in([] {
    counting_semaphore<> s(0);
    const std::size_t permits = scaled(2000);
    std::atomic<std::size_t> taken{0};
    std::atomic<bool> over{false};
    std::vector<thread> threads;
    for (unsigned t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (unsigned i = 0; !over; ++i) {
          if (s.try_acquire_for(std::chrono::microseconds((i * 11 + t) % 30))) taken.fetch_add(1);
        }
      });
    }
    for (std::size_t i = 0; i < permits; ++i) {
      s.release();
      if (i % 7 == 0) this_thread::yield();
    }
    over = true;
    for (thread& t : threads) t.join();
    while (s.try_acquire()) taken.fetch_add(1);
    EXPECT_EQ(taken, permits);
  });
}

// "Done" on the stack: who got the permit may destroy it while release() is still on its way out.
TYPED_TEST(Semaphore, DestroyedRightAfterAcquire) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(1000); ++i) {
      auto done = std::make_unique<binary_semaphore>(0);
      thread t([raw = done.get()] { raw->release(); });
      if (i % 2 == 0) this_thread::yield();
      done->acquire();
      done.reset();
      t.join();
    }
  });
}

TYPED_TEST(Semaphore, ForeignKernelThreads) {
  counting_semaphore<> there(0);
  counting_semaphore<> back(0);
  const std::size_t rounds = scaled(500);
  std::thread foreign([&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      there.acquire();
      back.release();
    }
  });
  this->in([&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      there.release();
      back.acquire();
    }
  });
  foreign.join();
}

template <class L>
concept waits_when_const = requires(const L& l) {
  l.try_wait();
  l.wait();
};

template <class Model>
class Latch : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Latch, every_model, model_names);

TYPED_TEST(Latch, CountsDownOnce) {
  this->in([] {
    latch l(3);
    EXPECT_FALSE(l.try_wait());
    l.count_down();
    l.count_down(2);
    EXPECT_TRUE(l.try_wait());
    l.wait();
    EXPECT_TRUE(waits_when_const<latch>);
    latch none(0);
    EXPECT_TRUE(none.try_wait());
    none.wait();
  });
}

TYPED_TEST(Latch, EverybodyArrives) {
  this->in([] {
    const std::size_t count = scaled(300, TestFixture::own_kernel_threads);
    latch all(static_cast<std::ptrdiff_t>(count));
    std::vector<int> marks(count, 0);
    std::atomic<std::size_t> missing{0};
    std::vector<thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        marks[i] = 1;  // plain: the latch orders it
        all.arrive_and_wait();
        for (const int mark : marks) missing.fetch_add(mark == 1 ? 0 : 1);
      });
    }
    all.wait();
    for (thread& t : threads) t.join();
    EXPECT_EQ(missing, 0U);
  });
}

TYPED_TEST(Latch, DestroyedRightAfterWait) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(500); ++i) {
      auto done = std::make_unique<latch>(2);
      thread a([raw = done.get()] { raw->count_down(); });
      thread b([raw = done.get()] { raw->count_down(); });
      if (i % 2 == 0) {
        done->wait();
      } else {
        eventually([&done] { return done->try_wait(); });
      }
      done.reset();
      a.join();
      b.join();
    }
  });
}

template <class Model>
class CallOnce : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(CallOnce, every_model, model_names);

TYPED_TEST(CallOnce, OnceAmongMany) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(40); ++round) {
      once_flag flag;
      int calls = 0;
      std::vector<thread> threads;
      std::atomic<int> late{0};
      for (int i = 0; i < 20; ++i) {
        threads.emplace_back([&] {
          call_once(
              flag,
              [&calls](int by) {
                for (int k = 0; k < 5; ++k) this_thread::yield();
                calls += by;
              },
              1);
          if (calls != 1) late.fetch_add(1);  // nobody returns before it is done
        });
      }
      for (thread& t : threads) t.join();
      EXPECT_EQ(calls, 1);
      EXPECT_EQ(late, 0);
    }
  });
}

TYPED_TEST(CallOnce, AnExceptionLeavesItOpen) {
  this->in([] {
    once_flag flag;
    for (int i = 0; i < 3; ++i) {
      EXPECT_THROW(call_once(flag, [] { throw std::runtime_error("not yet"); }),
                   std::runtime_error);
    }
    int calls = 0;
    call_once(flag, [&calls] { ++calls; });
    call_once(flag, [&calls] { ++calls; });
    EXPECT_EQ(calls, 1);
  });
}

TYPED_TEST(CallOnce, AFailedRunPassesOnToAWaiter) {
  this->in([] {
    once_flag flag;
    std::atomic<int> attempts{0};
    std::atomic<int> threw{0};
    int done = 0;
    std::vector<thread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        try {
          call_once(flag, [&] {
            const int attempt = attempts.fetch_add(1);
            this_thread::yield();
            if (attempt < 4) throw attempt;
            ++done;
          });
        } catch (int) {
          threw.fetch_add(1);
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(done, 1);
    EXPECT_EQ(attempts, 5);
    EXPECT_EQ(threw, 4);
  });
}

}  // namespace
}  // namespace treadle
