// async, when_all and when_any in every model, and with foreign kernel threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/future.hpp>
#include <treadle/semaphore.hpp>
#include <tuple>
#include <vector>

#include "tests/support/limited_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;
using testing_support::yield_times;

template <class Model>
class Async : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Async, every_model, model_names);

TYPED_TEST(Async, RunsInAThread) {
  this->in([] {
    const thread::id caller = this_thread::get_id();
    auto f = treadle::async(
        launch::async,
        [caller](const std::unique_ptr<int>& a, int b) {
          EXPECT_NE(this_thread::get_id(), caller);
          return *a + b;
        },
        std::make_unique<int>(1), 2);
    static_assert(std::is_same_v<decltype(f), future<int>>);
    f.wait();
    EXPECT_EQ(f.wait_for(0s), future_status::ready);
    EXPECT_EQ(treadle::async([] { return std::string("x"); }).get(), "x");
    int there = 0;
    EXPECT_EQ(&treadle::async(launch::async, [&there]() -> int& { return there; }).get(), &there);
    treadle::async(launch::async, [&there] { there = 1; }).get();
    EXPECT_EQ(there, 1);
    EXPECT_THROW(treadle::async(launch::async, [] { throw std::runtime_error("x"); }).get(),
                 std::runtime_error);
    EXPECT_THROW(static_cast<void>(treadle::async(launch{}, [] {})), std::invalid_argument);
  });
}

TYPED_TEST(Async, ItsLastFutureJoins) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(200, TestFixture::own_kernel_threads); ++i) {
      int done = 0;  // plain: the join orders it
      {
        auto f = treadle::async(launch::async, [&done, i] {
          yield_times(i % 4);
          done = 1;
        });
        const auto shared = f.share();
        const auto copy = shared;
        if (i % 2 == 0) static_cast<void>(copy.wait_for(1us));
      }
      ASSERT_EQ(done, 1);
    }
  });
}

TYPED_TEST(Async, ManyWaitForOneThread) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(50); ++i) {
      const shared_future<int> all = treadle::async(launch::async, [] {
        this_thread::yield();
        return 1;
      });
      std::atomic<int> sum{0};
      std::vector<thread> threads;
      for (int n = 0; n < 8; ++n) threads.emplace_back([all, &sum] { sum.fetch_add(all.get()); });
      for (thread& t : threads) t.join();
      ASSERT_EQ(sum, 8);
    }
  });
}

TYPED_TEST(Async, DeferredRunsWhereItIsWaitedFor) {
  this->in([] {
    thread::id ran_in;
    auto f = treadle::async(
        launch::deferred,
        [&ran_in](int n) {
          ran_in = this_thread::get_id();
          return n;
        },
        4);
    EXPECT_EQ(f.wait_for(1h), future_status::deferred);
    EXPECT_EQ(f.wait_until(std::chrono::steady_clock::now()), future_status::deferred);
    EXPECT_FALSE(f.try_wait({}));
    EXPECT_EQ(ran_in, thread::id());
    thread other([&] { EXPECT_EQ(f.get(), 4); });
    const thread::id expected = other.get_id();
    other.join();
    EXPECT_EQ(ran_in, expected);
    bool ran = false;
    {
      const auto never = treadle::async(launch::deferred, [&ran] { ran = true; });
    }
    EXPECT_FALSE(ran);
    EXPECT_THROW(treadle::async(launch::deferred, [] { throw 1; }).get(), int);
  });
}

TYPED_TEST(Async, DeferredRunsOnce) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(50); ++i) {
      int runs = 0;  // plain: only one runs it
      const shared_future<int> all = treadle::async(launch::deferred, [&runs] {
        this_thread::yield();
        return ++runs;
      });
      std::atomic<int> sum{0};
      std::vector<thread> threads;
      for (int n = 0; n < 6; ++n) threads.emplace_back([all, &sum] { sum.fetch_add(all.get()); });
      for (thread& t : threads) t.join();
      ASSERT_EQ(sum, 6);
      ASSERT_EQ(runs, 1);
    }
  });
}

// The function holds the last future of itself.
TYPED_TEST(Async, LetsGoOfItsOwnFuture) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(50); ++i) {
      auto own = std::make_unique<future<int>>();
      binary_semaphore handed_over(0);
      binary_semaphore gone(0);
      *own = treadle::async(launch::async, [&] {
        handed_over.acquire();
        own.reset();
        gone.release();
        return 1;
      });
      handed_over.release();
      gone.acquire();
    }
  });
}

TYPED_TEST(Async, ForeignKernelThreads) {
  std::thread foreign([] { EXPECT_EQ(treadle::async(launch::async, [] { return 3; }).get(), 3); });
  EXPECT_EQ(treadle::async(launch::async, [] { return 4; }).get(), 4);
  EXPECT_EQ(treadle::async(launch::deferred, [] { return 5; }).get(), 5);
  foreign.join();
}

template <class Model>
class When : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(When, every_model, model_names);

TYPED_TEST(When, AllOfAPack) {
  this->in([] {
    promise<int> a;
    promise<void> b;
    auto all = when_all(a.get_future(), b.get_future().share(),
                        treadle::async(launch::deferred, [] { return std::string("c"); }));
    static_assert(
        std::is_same_v<decltype(all),
                       future<std::tuple<future<int>, shared_future<void>, future<std::string>>>>);
    EXPECT_EQ(all.wait_for(0s), future_status::timeout);
    b.set_exception(std::make_exception_ptr(1));
    EXPECT_EQ(all.wait_for(0s), future_status::timeout);
    thread provider([&a] { a.set_value(1); });
    auto [first, second, third] = all.get();
    EXPECT_EQ(first.get(), 1);
    EXPECT_THROW(second.get(), int);
    EXPECT_EQ(third.get(), "c");
    provider.join();
    EXPECT_EQ(when_all().wait_for(0s), future_status::ready);
  });
}

TYPED_TEST(When, AllOfMany) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      std::vector<future<int>> inputs;
      for (int i = 0; i < 20; ++i) {
        inputs.push_back(treadle::async(launch::async, [i] {
          if (i % 3 == 0) this_thread::yield();
          return i;
        }));
      }
      auto all =
          round % 2 == 0 ? when_all(std::move(inputs)) : when_all(inputs.begin(), inputs.end());
      int sum = 0;
      for (auto& each : all.get()) sum += each.get();
      ASSERT_EQ(sum, 190);
    }
    EXPECT_TRUE(when_all(std::vector<future<int>>()).get().empty());
  });
}

TYPED_TEST(When, AnyOfAPack) {
  this->in([] {
    promise<int> a;
    promise<int> b;
    bool ran = false;
    auto any = when_any(a.get_future(), b.get_future());
    EXPECT_EQ(any.wait_for(0s), future_status::timeout);
    b.set_value(2);
    auto first = any.get();
    EXPECT_EQ(first.index, 1U);
    EXPECT_EQ(std::get<1>(first.futures).get(), 2);
    EXPECT_EQ(std::get<0>(first.futures).wait_for(0s), future_status::timeout);
    a.set_value(1);
    EXPECT_EQ(std::get<0>(first.futures).get(), 1);
    EXPECT_EQ(when_any().get().index, SIZE_MAX);
    promise<void> done;
    done.set_value();
    EXPECT_EQ(when_any(treadle::async(launch::deferred, [&ran] { ran = true; }), done.get_future())
                  .get()
                  .index,
              1U);
    EXPECT_FALSE(ran);  // one was ready
    future<void> broken = promise<void>().get_future();
    auto deferred = treadle::async(launch::deferred, [&ran] { ran = true; });
    // broken_promise is an outcome.
    EXPECT_EQ(when_any(std::move(deferred), std::move(broken)).get().index, 1U);
    EXPECT_FALSE(ran);
    promise<void> never;
    EXPECT_EQ(when_any(never.get_future(), treadle::async(launch::deferred, [&ran] { ran = true; }))
                  .get()
                  .index,
              1U);
    EXPECT_TRUE(ran);
  });
}

TYPED_TEST(When, AnyOfMany) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(100); ++round) {
      std::vector<promise<std::size_t>> promises(8);
      std::vector<shared_future<std::size_t>> inputs;
      for (auto& each : promises) inputs.push_back(each.get_future().share());
      auto any = when_any(inputs.begin(), inputs.end());
      std::vector<thread> providers;
      for (std::size_t i = 0; i < 3; ++i) {
        providers.emplace_back([&, i] {
          const std::size_t mine = (round + i) % 8;
          promises[mine].set_value(mine);
        });
      }
      if (round % 3 == 0) {
        any = {};  // nobody wants to know
      } else {
        const auto first = any.get();
        ASSERT_EQ(first.futures[first.index].get(), first.index);
      }
      for (thread& t : providers) t.join();
    }
    EXPECT_EQ(when_any(std::vector<future<int>>()).get().index, SIZE_MAX);
  });
}

// The last future of a thread is then let go of by the thread itself, or by its neighbour.
TYPED_TEST(When, TheOutcomeIsNotWanted) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(100, TestFixture::own_kernel_threads); ++round) {
      std::atomic<int> ended{0};
      const auto one = [&ended, round] {
        yield_times(round % 3);
        ended.fetch_add(1);
      };
      if (round % 2 == 0) {
        static_cast<void>(
            when_all(treadle::async(launch::async, one), treadle::async(launch::async, one)));
      } else {
        static_cast<void>(
            when_any(treadle::async(launch::async, one), treadle::async(launch::async, one)));
      }
      testing_support::eventually([&ended] { return ended == 2; });
    }
  });
}

// Also of those behind the first that is ready.
TYPED_TEST(When, TheOutcomeIsNotWantedWhileACallRuns) {
  this->in([] {
    for (const bool is_first : {true, false}) {
      binary_semaphore gate(0);
      binary_semaphore ended(0);
      promise<void> done;
      done.set_value();
      auto running = treadle::async(launch::async, [&] {
        gate.acquire();
        ended.release();
      });
      if (is_first) {
        static_cast<void>(when_any(std::move(running), done.get_future()));
      } else {
        static_cast<void>(when_any(done.get_future(), std::move(running)));
      }
      gate.release();
      ended.acquire();
    }
  });
}

TYPED_TEST(When, OfEachOther) {
  this->in([] {
    promise<int> p;
    auto nested = when_all(when_any(when_all(p.get_future())));
    p.set_value(9);
    auto any = std::get<0>(nested.get()).get();
    EXPECT_EQ(std::get<0>(std::get<0>(any.futures).get()).get(), 9);
    future<int> none;
    promise<int> other;
    auto kept = other.get_future();
    EXPECT_THROW(static_cast<void>(when_all(std::move(kept), std::move(none))), future_error);
  });
}

TYPED_TEST(When, ForeignProviders) {
  promise<int> a;
  promise<int> b;
  std::thread foreign;
  this->in([&] {
    auto all = when_all(a.get_future(), b.get_future());
    foreign = std::thread([&] {
      a.set_value(1);
      b.set_value(2);
    });
    EXPECT_EQ(std::get<1>(all.get()).get(), 2);
  });
  foreign.join();
}

}  // namespace
}  // namespace treadle
