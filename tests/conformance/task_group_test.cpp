// task_group and with_deadline in every model.
#include <treadle/task_group.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <treadle/future.hpp>
#include <treadle/io.hpp>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
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

// A wait that the thread's own token ends. In a child, which inherits the token: some things may
// not be waited for by the thread that made them.
template <class Wait>
void expect_to_be_stopped() {
  Wait object;
  scope other;
  other.spawn([&object] { EXPECT_FALSE(object.wait(this_thread::stop_token())) << Wait::name; });
  other.join();
  object.grant();
  EXPECT_TRUE(object.is_whole(false)) << Wait::name;
}

template <class Model>
class TaskGroup : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(TaskGroup, every_model, model_names);

static_assert(!std::is_copy_constructible_v<task_group>);

TYPED_TEST(TaskGroup, WaitsForItsChildren) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      std::vector<int> done(20, 0);  // plain: wait() orders it
      task_group group;
      for (int& mark : done) {
        EXPECT_TRUE(group.run([&mark] {
          this_thread::yield();
          mark = 1;
        }));
      }
      group.wait();
      for (const int mark : done) ASSERT_EQ(mark, 1);
      EXPECT_FALSE(group.stop_requested());
      EXPECT_TRUE(group.run([&done] { done[0] = 2; }));  // and again
      group.wait();
      EXPECT_EQ(done[0], 2);
      EXPECT_TRUE(group.errors().empty());
    }
  });
}

TYPED_TEST(TaskGroup, TheFirstErrorStopsTheRest) {
  this->in([] {
    task_group group;
    std::atomic<int> stopped{0};
    for (int i = 0; i < 5; ++i) {
      group.run([&stopped] {
        if (!this_thread::sleep_for(1h, stop_token())) stopped.fetch_add(1);
      });
    }
    group.run([] { throw std::runtime_error("the first"); });
    eventually([&group] { return group.stop_requested(); });
    EXPECT_FALSE(group.run([] { FAIL() << "the group is stopped"; }));
    for (int again = 0; again < 2; ++again) {
      try {
        group.wait();
        FAIL() << "no exception";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "the first");
      }
    }
    EXPECT_EQ(stopped, 5);
    EXPECT_EQ(group.errors().size(), 1U);
  });
}

TYPED_TEST(TaskGroup, AllErrorsCanBeHad) {
  this->in([] {
    task_group group;
    for (int i = 0; i < 6; ++i) {
      group.run([i] {
        this_thread::sleep_for(1h, stop_token());
        throw i;
      });
    }
    group.request_stop();
    int first = -1;
    try {
      group.wait();
    } catch (const int value) {
      first = value;
    }
    const auto errors = group.errors();
    ASSERT_EQ(errors.size(), 6U);
    int sum = 0;
    for (const auto& each : errors) {
      try {
        std::rethrow_exception(each);
      } catch (const int value) {
        sum += value;
        EXPECT_EQ(value == first, &each == errors.data());
      }
    }
    EXPECT_EQ(sum, 15);
  });
}

TYPED_TEST(TaskGroup, CannotLeakAChild) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      int ended = 0;
      try {
        task_group group;
        group.run([&ended] {
          this_thread::sleep_for(1h, stop_token());
          ended = 1;
          throw 7;  // nobody wants to know
        });
        if (round % 2 == 0) throw std::runtime_error("the parent");
      } catch (const std::runtime_error&) {
      }
      ASSERT_EQ(ended, 1);
    }
  });
}

// A stop from outside goes down through groups of groups, to every wait that is given the token.
TYPED_TEST(TaskGroup, AStopReachesEveryWait) {
  this->in([] {
    with_every_wait([]<class Wait>() {
      jthread outer([] {
        task_group group;
        group.run([] {
          task_group inner;
          inner.run([] { expect_to_be_stopped<Wait>(); });
          expect_to_be_stopped<Wait>();
          inner.wait();
          EXPECT_TRUE(inner.stop_requested());
        });
        group.wait();
        EXPECT_TRUE(group.stop_requested());
      });
      yield_times(5);
      outer.request_stop();
    });
  });
}

TYPED_TEST(TaskGroup, ManyAtOnce) {
  this->in([] {
    std::atomic<int> thrown{0};
    std::vector<thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&thrown, t] {
        for (std::size_t round = 0; round < scaled(50, TestFixture::own_kernel_threads); ++round) {
          task_group group;
          for (int i = 0; i < 8; ++i) {
            group.run([t, i] {
              if (i % 3 == 0) this_thread::yield();
              if (i == t) throw i;
            });
          }
          try {
            group.wait();
          } catch (const int value) {
            EXPECT_EQ(value, t);
            thrown.fetch_add(1);
          }
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(static_cast<std::size_t>(thrown), 8 * scaled(50, TestFixture::own_kernel_threads));
  });
}

TYPED_TEST(TaskGroup, ForeignKernelThreads) {
  std::thread foreign([] {
    task_group group;
    int value = 0;
    group.run([&value] { value = 1; });
    group.wait();
    EXPECT_EQ(value, 1);
    group.run([] { throw 1; });
    EXPECT_THROW(group.wait(), int);
  });
  foreign.join();
}

template <class Model>
class Deadline : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Deadline, every_model, model_names);

TYPED_TEST(Deadline, GivesBackWhatTheFunctionDoes) {
  this->in([] {
    int there = 1;
    static_assert(
        std::is_same_v<decltype(with_deadline(1s, [&]() -> int& { return there; })), int&>);
    EXPECT_EQ(&with_deadline(1h, [&]() -> int& { return there; }), &there);
    EXPECT_EQ(with_deadline(steady_clock::now() + 1h, [] { return 3; }), 3);
    EXPECT_EQ(with_deadline(1h,
                            [](const deadline_scope& scope) {
                              EXPECT_FALSE(scope.has_passed());
                              EXPECT_FALSE(this_thread::stop_token().stop_requested());
                              return 4;
                            }),
              4);
    EXPECT_THROW(with_deadline({}, [] { throw 1; }), int);
    EXPECT_FALSE(this_thread::stop_token().stop_possible());
  });
}

TYPED_TEST(Deadline, EndsEveryWaitInside) {
  this->in([] {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    with_deadline(2ms, [&](const deadline_scope& scope) {
      EXPECT_FALSE(this_thread::sleep_for(1h, stop_token()));
      EXPECT_TRUE(scope.has_passed());
      char byte;
      EXPECT_EQ(io::read(ends[0], &byte, 1), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
      with_every_wait([]<class Wait>() { expect_to_be_stopped<Wait>(); });
      promise<void> never;
      EXPECT_FALSE(never.get_future().try_wait(this_thread::stop_token()));
    });
    with_deadline(2ms, [&] {
      char byte;
      EXPECT_EQ(io::read(ends[0], &byte, 1), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
    });
    ::close(ends[0]);
    ::close(ends[1]);
    with_every_wait(
        []<class Wait>() { with_deadline(500us, [] { expect_to_be_stopped<Wait>(); }); });
    EXPECT_TRUE(this_thread::sleep_for(1us, stop_token()));
  });
}

TYPED_TEST(Deadline, TheEarliestOfNestedOnesWins) {
  this->in([] {
    with_deadline(2ms, [](const deadline_scope& outer) {
      with_deadline(1h, [&outer](const deadline_scope& inner) {
        EXPECT_FALSE(this_thread::sleep_for(1h, stop_token()));
        EXPECT_FALSE(inner.has_passed());
        EXPECT_TRUE(outer.has_passed());
      });
    });
    with_deadline(1h, [](const deadline_scope& outer) {
      with_deadline(2ms, [](const deadline_scope& inner) {
        EXPECT_FALSE(this_thread::sleep_for(1h, stop_token()));
        EXPECT_TRUE(inner.has_passed());
      });
      EXPECT_FALSE(outer.has_passed());
      EXPECT_TRUE(this_thread::sleep_for(1us, stop_token()));
      with_deadline(0s, [] { EXPECT_TRUE(this_thread::stop_token().stop_requested()); });
      with_deadline(stopped_token(),
                    [] { EXPECT_TRUE(this_thread::stop_token().stop_requested()); });
      EXPECT_FALSE(this_thread::stop_token().stop_requested());
    });
    jthread stopped(
        [] { with_deadline(1h, [] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); }); });
    yield_times(3);
    stopped.request_stop();
  });
}

TYPED_TEST(Deadline, HoldsForChildren) {
  this->in([] {
    with_deadline(3ms, [] {
      task_group group;
      for (int i = 0; i < 3; ++i) {
        group.run([] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
      }
      scope plain;
      plain.spawn([] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
      plain.join();
      group.wait();
    });
  });
}

TYPED_TEST(Deadline, ManyAtOnce) {
  this->in([] {
    std::vector<thread> threads;
    for (int t = 0; t < 16; ++t) {
      threads.emplace_back([t] {
        for (std::size_t i = 0; i < scaled(100, TestFixture::own_kernel_threads); ++i) {
          const auto span = std::chrono::microseconds((static_cast<int>(i) * 37 + t * 11) % 400);
          if (i % 3 == 0) {
            with_deadline(span, [] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
          } else {
            // Disarmed at about the time that it fires.
            with_deadline(span, [span] { this_thread::sleep_for(span, stop_token()); });
          }
        }
      });
    }
    for (thread& t : threads) t.join();
  });
}

// The runtime ends while its threads are inside; so do those that come later.
TYPED_TEST(Deadline, OutlivesTheEndOfTheRuntime) {
  for (int i = 0; i < 10; ++i) {
    runtime own(TypeParam::options());
    own.run([i] {
      thread([i] {
        with_deadline(std::chrono::microseconds(i * 100),
                      [] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
        with_deadline(100us, [] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
      }).detach();
      if (i % 2 == 0) with_deadline(1h, [] { this_thread::yield(); });
    });
  }
}

TYPED_TEST(Deadline, ForeignKernelThreads) {
  std::thread foreign(
      [] { with_deadline(1ms, [] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); }); });
  foreign.join();
  with_deadline(1ms, [] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
}

}  // namespace
}  // namespace treadle
