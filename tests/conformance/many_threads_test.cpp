// A hundred thousand threads at once, in every model that can (model 1:1 takes what a kernel
// gives without trouble), and the same number one after another.
#include <gtest/gtest.h>

#include <atomic>
#include <treadle/latch.hpp>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class ManyThreads : public testing_support::in_model<Model> {
 public:
  static std::size_t count() {
#if defined(TREADLE_TSAN)
    return 1'000;  // sourced: TSan knows at most 8,128 threads and fibres
#elif defined(TREADLE_ASAN)
    return testing_support::in_model<Model>::own_kernel_threads ? 1'000 : 10'000;
#else
    return testing_support::in_model<Model>::own_kernel_threads ? 4'000 : 100'000;
#endif
  }
};
TYPED_TEST_SUITE(ManyThreads, every_model, model_names);

TYPED_TEST(ManyThreads, AllParkedAtOnce) {
  const std::size_t count = this->count();
  runtime_options options = TypeParam::options();
  options.stack_bytes = std::size_t{64} * 1024;
  runtime rt(options);
  rt.run([count] {
    std::vector<thread> threads;
    threads.reserve(count);
    latch all(static_cast<std::ptrdiff_t>(count));
    std::vector<unsigned char> marks(count, 0);
    counting_semaphore<> go(0);
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        all.count_down();
        go.acquire();
        marks[i] = 1;
      });
    }
    all.wait();  // now each of them has its stack
    go.release(static_cast<std::ptrdiff_t>(count));
    for (thread& t : threads) t.join();
    std::size_t marked = 0;
    for (const unsigned char mark : marks) marked += mark;
    EXPECT_EQ(marked, count);
  });
}

TYPED_TEST(ManyThreads, CreatedInARowThenJoined) {
  const std::size_t count = this->count();
  this->in([count] {
    std::vector<thread> threads;
    threads.reserve(count);
    std::atomic<std::size_t> ran{0};
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(ran, count);
  });
}

TYPED_TEST(ManyThreads, OneAfterAnother) {
  const std::size_t count = this->count();
  this->in([count] {
    std::size_t ran = 0;
    for (std::size_t i = 0; i < count; ++i) {
      thread t([&ran] { ++ran; });
      t.join();
    }
    EXPECT_EQ(ran, count);
  });
}

TYPED_TEST(ManyThreads, DetachedInARow) {
  const std::size_t count = this->count();
  std::atomic<std::size_t> ran{0};
  {
    runtime rt(TypeParam::options());
    rt.run([&] {
      for (std::size_t i = 0; i < count; ++i) {
        thread t([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
        t.detach();
        if (i % 1000 == 0) this_thread::yield();
      }
    });
  }
  EXPECT_EQ(ran, count);
}

// They hand over in a ring: each wakes the next, several times round.
TYPED_TEST(ManyThreads, ARing) {
  const std::size_t count = this->count() / 50;
  this->in([count] {
    std::vector<std::unique_ptr<binary_semaphore>> doors;
    for (std::size_t i = 0; i < count; ++i) {
      doors.push_back(std::make_unique<binary_semaphore>(0));
    }
    std::size_t steps = 0;  // plain: only the one with the turn touches it
    constexpr std::size_t rounds = 5;
    std::vector<thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        for (std::size_t round = 0; round < rounds; ++round) {
          doors[i]->acquire();
          ++steps;
          doors[(i + 1) % count]->release();
        }
      });
    }
    doors[0]->release();
    for (thread& t : threads) t.join();
    EXPECT_EQ(steps, rounds * count);
  });
}

}  // namespace
}  // namespace treadle
