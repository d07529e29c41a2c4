// thread_pool in every model, and with foreign kernel threads that submit.
#include <treadle/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/limited_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;
using testing_support::stopped_token;
using testing_support::yield_times;

template <class Model>
class ThreadPool : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ThreadPool, every_model, model_names);

static_assert(!std::is_copy_constructible_v<thread_pool>);

void expect_closed(thread_pool& pool) {
  try {
    pool.submit([] {});
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::operation_canceled);
  }
}

TYPED_TEST(ThreadPool, ResultsAndExceptions) {
  this->in([this] {
    thread_pool pool;
    EXPECT_EQ(pool.threads(), this->runtime_.width());
    EXPECT_EQ(pool.queue_max(), 1024U);
    std::vector<future<int>> results;
    for (int i = 0; i < 100; ++i) results.push_back(pool.submit([](int n) { return n * n; }, i));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i * i);
    EXPECT_THROW(pool.submit([] { throw std::runtime_error("x"); }).get(), std::runtime_error);
    EXPECT_EQ(
        *pool.submit([owned = std::make_unique<int>(3)]() mutable { return std::move(owned); })
             .get(),
        3);
    int there = 0;
    EXPECT_EQ(&pool.submit([&there]() -> int& { return there; }).get(), &there);
    pool.submit([&there] { there = 1; }).get();
    EXPECT_EQ(there, 1);
    EXPECT_EQ(pool.queue_length(), 0U);
  });
}

TYPED_TEST(ThreadPool, AFullQueueHoldsSubmittersBack) {
  this->in([] {
    thread_pool pool({.threads = 1, .queue_max = 2, .name = "pool"});
    binary_semaphore begun(0);
    binary_semaphore gate(0);
    auto blocker = pool.submit([&] {
      EXPECT_EQ(this_thread::name(), "pool");
      begun.release();
      gate.acquire();
    });
    begun.acquire();
    auto a = pool.submit([] { return 1; });
    auto b = pool.try_submit([] { return 2; });
    ASSERT_TRUE(b);
    EXPECT_EQ(pool.queue_length(), 2U);
    auto kept = std::make_unique<int>(3);
    auto takes = [](std::unique_ptr<int> n) { return *n; };
    EXPECT_FALSE(pool.try_submit([] {}));
    EXPECT_FALSE(pool.try_submit(100us, [] {}));
    EXPECT_FALSE(pool.try_submit(stopped_token(), [] {}));
    stop_source source;
    thread stopper([&source] {
      yield_times(3);
      source.request_stop();
    });
    EXPECT_FALSE(pool.try_submit({1h, source.get_token()}, [] {}));
    stopper.join();
    std::atomic<bool> through{false};
    thread submitter([&] {
      EXPECT_EQ(pool.submit(takes, std::move(kept)).get(), 3);
      through = true;
    });
    yield_times(10);
    EXPECT_FALSE(through);
    gate.release();
    submitter.join();
    EXPECT_EQ(a.get() + b->get(), 3);
    blocker.get();
  });
}

TYPED_TEST(ThreadPool, ManySubmittersOfASmallPool) {
  this->in([] {
    thread_pool pool({.threads = 3, .queue_max = 2});
    std::atomic<std::size_t> ran{0};
    const std::size_t each = scaled(500, TestFixture::own_kernel_threads);
    std::vector<thread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < each; ++i) {
          auto done = pool.submit([&ran] { ran.fetch_add(1); });
          if (i % 8 == 0) done.get();
        }
      });
    }
    for (thread& t : threads) t.join();
    pool.shutdown();
    EXPECT_EQ(ran, 6 * each);
  });
}

TYPED_TEST(ThreadPool, DrainsAtTheEnd) {
  this->in([] {
    std::vector<int> done(50, 0);  // plain: the destructor orders it
    {
      thread_pool pool({.threads = 2});
      for (int& mark : done) {
        static_cast<void>(pool.submit([&mark] {
          this_thread::yield();
          mark = 1;
        }));
      }
    }
    for (const int mark : done) EXPECT_EQ(mark, 1);
  });
}

TYPED_TEST(ThreadPool, CancelDropsWhatWaitsAndStopsWhatRuns) {
  this->in([] {
    thread_pool pool({.threads = 1, .queue_max = 3});
    binary_semaphore begun(0);
    auto runs = pool.submit([&begun] {
      begun.release();
      return this_thread::sleep_for(1h, stop_token());
    });
    begun.acquire();
    std::vector<future<void>> waiting;
    for (int i = 0; i < 3; ++i) {
      waiting.push_back(pool.submit([] { ADD_FAILURE() << "it was to be dropped"; }));
    }
    thread late([&pool] { expect_closed(pool); });  // waits for room, or comes too late
    yield_times(3);
    pool.shutdown(thread_pool::ending::cancel);
    EXPECT_FALSE(runs.get());
    for (auto& each : waiting) {
      try {
        each.get();
        ADD_FAILURE() << "no exception";
      } catch (const future_error& error) {
        EXPECT_EQ(error.code(), future_errc::broken_promise);
      }
    }
    late.join();
    expect_closed(pool);
    EXPECT_THROW(static_cast<void>(pool.try_submit([] {})), std::system_error);
    pool.shutdown();
    pool.shutdown(thread_pool::ending::cancel);
  });
}

TYPED_TEST(ThreadPool, ShutDownByManyWhileOthersSubmit) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(40, TestFixture::own_kernel_threads); ++round) {
      thread_pool pool({.threads = 2, .queue_max = 1});
      std::atomic<int> outcomes{0};
      std::atomic<int> accepted{0};
      std::vector<thread> threads;
      for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
          try {
            for (int i = 0; i < 20; ++i) {
              auto done = pool.submit([] { this_thread::yield(); });
              accepted.fetch_add(1);
              try {
                done.get();
              } catch (const future_error&) {
              }
              outcomes.fetch_add(1);
            }
          } catch (const std::system_error&) {
          }
        });
      }
      for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&pool, round, t] {
          yield_times(round % 7);
          pool.shutdown((round + static_cast<std::size_t>(t)) % 2 == 0
                            ? thread_pool::ending::drain
                            : thread_pool::ending::cancel);
        });
      }
      for (thread& t : threads) t.join();
      ASSERT_EQ(outcomes, accepted);
    }
  });
}

TYPED_TEST(ThreadPool, BadOptions) {
  this->in([] {
    const auto make = [](thread_pool_options options) { const thread_pool pool(options); };
    EXPECT_THROW(make({.queue_max = 0}), std::invalid_argument);
    EXPECT_THROW(make({.threads = thread_pool::threads_max + 1}), std::invalid_argument);
  });
}

// A task whose arguments cannot be copied leaves no hole in the queue.
TYPED_TEST(ThreadPool, ASubmissionThatThrows) {
  this->in([] {
    struct picky {
      picky() = default;
      picky(const picky&) { throw std::runtime_error("refused"); }
      void operator()() const {}
    };
    thread_pool pool({.threads = 1, .queue_max = 1});
    const picky one;
    for (int i = 0; i < 3; ++i) EXPECT_THROW(pool.submit(one), std::runtime_error);
    EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
  });
}

// A move of the pool's own is not the submitter's: what it throws would have nowhere to go.
TYPED_TEST(ThreadPool, ATaskThatCannotBeMovedWithoutAThrow) {
  this->in([] {
    struct task {
      explicit task(int moves) : moves_left(moves) {}
      task(task&& from) : moves_left(from.moves_left - 1) {
        if (moves_left < 0) throw std::runtime_error("moved once too often");
      }
      int operator()() { return moves_left; }
      int moves_left;
    };
    thread_pool pool({.threads = 1});
    EXPECT_EQ(pool.submit(task(1)).get(), 0);
    EXPECT_THROW(pool.submit(task(0)), std::runtime_error);
    EXPECT_EQ(pool.submit(task(1)).get(), 0);
  });
}

// It is gone when the future is ready.
TYPED_TEST(ThreadPool, ATaskEndsBeforeItsFutureIsReady) {
  this->in([] {
    thread_pool pool({.threads = 1});
    for (int i = 0; i < 20; ++i) {
      auto owned = std::make_shared<int>(i);
      EXPECT_EQ(pool.submit([owned] { return *owned; }).get(), i);
      EXPECT_EQ(owned.use_count(), 1);
    }
  });
}

TYPED_TEST(ThreadPool, ForeignKernelThreads) {
  std::unique_ptr<thread_pool> pool;
  this->in([&pool] {
    pool = std::make_unique<thread_pool>(thread_pool_options{.threads = 2, .queue_max = 1});
  });
  std::thread foreign([&pool] {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(pool->submit([i] { return i; }).get(), i);
  });
  this->in([&pool] {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(pool->submit([i] { return i; }).get(), i);
  });
  foreign.join();
  pool.reset();
}

}  // namespace
}  // namespace treadle
