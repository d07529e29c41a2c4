// treadle::blocking() in every model.
#include <treadle/blocking.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <treadle/io.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Blocking : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Blocking, every_model, model_names);

TYPED_TEST(Blocking, GivesBackWhatTheFunctionReturns) {
  this->in([] {
    EXPECT_EQ(blocking([] { return 42; }), 42);
    blocking([] {});
    EXPECT_EQ(blocking([] { return std::string(100, 'x'); }), std::string(100, 'x'));
    EXPECT_EQ(*blocking([] { return std::make_unique<int>(7); }), 7);
    int there = 1;
    int& got = blocking([&]() -> int& { return there; });
    EXPECT_EQ(&got, &there);
    static_assert(
        std::is_same_v<decltype(blocking([&]() -> const int& { return there; })), const int&>);
    struct adder {
      int by;
      int operator()() { return ++by; }
    };
    adder stateful{3};
    EXPECT_EQ(blocking(stateful), 4);
    EXPECT_EQ(stateful.by, 4);
  });
}

TYPED_TEST(Blocking, RethrowsWhatTheFunctionThrows) {
  this->in([] {
    EXPECT_THROW(blocking([] { throw std::runtime_error("x"); }), std::runtime_error);
    EXPECT_THROW(blocking([]() -> int { throw 7; }), int);
    try {
      blocking([]() -> int& { throw std::string("text"); });
      FAIL();
    } catch (const std::string& text) {
      EXPECT_EQ(text, "text");
    }
  });
}

TYPED_TEST(Blocking, ErrnoGoesThereAndBack) {
  this->in([] {
    io::own_errno() = 33;
    EXPECT_EQ(blocking([] { return io::own_errno(); }), 33);
    EXPECT_EQ(io::own_errno(), 33);
    EXPECT_EQ(blocking([] { return ::close(-1); }), -1);
    EXPECT_EQ(io::own_errno(), EBADF);
  });
}

// The heart of it. A pipe and counts, no clock: the call ends only when the ticker has ticked.
TYPED_TEST(Blocking, OthersRunMeanwhile) {
  this->in([] {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    constexpr int wanted = 1000;
    std::atomic<int> ticks{0};
    thread ticker([&] {
      while (ticks < wanted) {
        ticks.fetch_add(1);
        this_thread::yield();
      }
      EXPECT_EQ(::write(ends[1], "x", 1), 1);
    });
    char byte = 0;
    EXPECT_EQ(blocking([&] { return ::read(ends[0], &byte, 1); }), 1);
    EXPECT_EQ(ticks, wanted);
    ticker.join();
    ::close(ends[0]);
    ::close(ends[1]);
  });
}

TYPED_TEST(Blocking, TickerGoesOnBesideASleepInTheKernel) {
  this->in([] {
    std::atomic<bool> over{false};
    std::atomic<long> ticks{0};
    thread ticker([&] {
      while (!over) {
        ticks.fetch_add(1);
        this_thread::yield();
      }
    });
    // Again until it has been seen: how long a kernel thread gets no CPU is not ours to say.
    do {
      const long before = ticks;
      blocking([] { ::usleep(2000); });
      if (ticks > before + 10) break;
    } while (true);
    over = true;
    ticker.join();
  });
}

TYPED_TEST(Blocking, ManyAtOnce) {
  this->in([this] {
    const std::size_t count = scaled(2000, this->own_kernel_threads);
    std::vector<thread> threads;
    std::atomic<std::size_t> sum{0};
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&sum, i] { sum += blocking([i] { return i; }); });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(sum, count * (count - 1) / 2);
  });
  const io::blocking_pool_counters now = io::blocking_counters();
  EXPECT_LE(now.threads, now.threads_max);
  EXPECT_EQ(now.queued, 0U);
}

TYPED_TEST(Blocking, InsideItselfRunsInPlace) {
  this->in([] { EXPECT_EQ(blocking([] { return blocking([] { return 5; }); }), 5); });
}

TYPED_TEST(Blocking, PrimitivesWorkInIt) {
  this->in([] {
    binary_semaphore here(0);
    binary_semaphore there(0);
    thread other([&] {
      blocking([&] {
        here.acquire();
        there.release();
      });
    });
    here.release();
    there.acquire();
    other.join();
  });
}

// The pool's thread that woke the last one must be out of the runtime before it is gone.
TYPED_TEST(Blocking, ARuntimeMayEndRightAfterACall) {
  const std::size_t rounds = scaled(300, this->own_kernel_threads);
  for (std::size_t i = 0; i < rounds; ++i) {
    runtime brief(TypeParam::options());
    EXPECT_EQ(brief.run([] { return blocking([] { return 1; }); }), 1);
  }
}

TEST(BlockingOutside, AForeignThreadRunsItInPlace) {
  const pid_t here = ::gettid();
  EXPECT_EQ(blocking([] { return ::gettid(); }), here);
}

// One kernel thread, a hundred callers: all are served, in their order.
TYPED_TEST(Blocking, APoolOfOneServesAHundred) {
  io::blocking_pool& pool = io::blocking_pool::of_process();
  const unsigned before = pool.counters().threads_max;
  pool.set_threads_max(1);
  eventually([&] { return pool.counters().threads <= 1; });
  this->in([] {
    std::atomic<int> inside{0};
    std::atomic<int> served{0};
    std::vector<thread> threads;
    for (int i = 0; i < 100; ++i) {
      threads.emplace_back([&] {
        blocking([&] {
          const int others = inside.fetch_add(1);
          if (TypeParam::kind != model::one_to_one) {
            EXPECT_EQ(others, 0);
          }
          served.fetch_add(1);
          inside.fetch_sub(1);
        });
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(served, 100);
  });
  pool.set_threads_max(before);
}

}  // namespace
}  // namespace treadle
