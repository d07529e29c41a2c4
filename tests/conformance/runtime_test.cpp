// runtime in every model: options, run(), nesting, counters, its end.
#include <treadle/runtime.hpp>

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Runtime : public testing_support::in_model<Model> {
 public:
  using configuration = Model;
};
TYPED_TEST_SUITE(Runtime, every_model, model_names);

static_assert(!std::is_copy_constructible_v<runtime>);

TYPED_TEST(Runtime, SaysWhatItIs) {
  const runtime& rt = this->runtime_;
  EXPECT_EQ(rt.model(), TestFixture::kind);
  if (rt.model() == model::many_to_many) {
    EXPECT_EQ(rt.width(), TestFixture::configuration::width);
  }
  if (rt.model() == model::many_to_one) {
    EXPECT_EQ(rt.width(), 1U);
  }
  EXPECT_GE(rt.width(), 1U);
  EXPECT_GE(rt.stack_bytes(), 16U * 1024);
}

TYPED_TEST(Runtime, RunGivesBackWhatTheFunctionGives) {
  EXPECT_EQ(this->in([] { return 42; }), 42);
  EXPECT_EQ(this->in([] { return std::string(1000, 'x'); }), std::string(1000, 'x'));
  const std::unique_ptr<int> owned = this->in([] { return std::make_unique<int>(7); });
  EXPECT_EQ(*owned, 7);
  int target = 1;
  int& reference = this->runtime_.run([&target]() -> int& { return target; });
  EXPECT_EQ(&reference, &target);
  const int constant = 2;
  const int& const_reference = this->runtime_.run([&]() -> const int& { return constant; });
  EXPECT_EQ(&const_reference, &constant);
  bool ran = false;
  this->in([&ran] { ran = true; });
  EXPECT_TRUE(ran);
  struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
  };
  EXPECT_EQ(this->in([] { return no_default(5); }).value, 5);
}

TYPED_TEST(Runtime, RunTakesAnyCallable) {
  auto mutable_lambda = [count = 0]() mutable { return ++count; };
  EXPECT_EQ(this->in(mutable_lambda), 1);
  EXPECT_EQ(this->in(mutable_lambda), 2);  // the caller's own object, not a copy
  const auto owner = [value = std::make_unique<int>(3)] { return *value; };
  EXPECT_EQ(this->in(owner), 3);
  struct free_function {
    static int call() { return 4; }
  };
  EXPECT_EQ(this->in(free_function::call), 4);
}

struct custom_error : std::runtime_error {
  custom_error() : std::runtime_error("custom"), payload(std::make_shared<int>(11)) {}
  std::shared_ptr<int> payload;
};

TYPED_TEST(Runtime, RunThrowsWhatTheFunctionThrows) {
  for (int i = 0; i < 20; ++i) {
    try {
      this->in([] {
        this_thread::yield();
        throw custom_error();
      });
      FAIL();
    } catch (const custom_error& error) {
      EXPECT_EQ(*error.payload, 11);
    }
    EXPECT_THROW(this->in([]() -> int { throw 5; }), int);
  }
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

TYPED_TEST(Runtime, CurrentIsTheRunning) {
  runtime* const mine = &this->runtime_;
  const auto check = [mine] { EXPECT_EQ(&runtime::current(), mine); };
  this->in([&] {
    check();
    thread child(check);
    child.join();
    thread own(thread_attributes{.scope = contention_scope::system}, check);
    own.join();
  });
  EXPECT_NE(&runtime::current(), mine);  // outside: the default one
  EXPECT_EQ(&runtime::current(), &runtime::current());
}

TYPED_TEST(Runtime, RunInsideRun) {
  const int result = this->in([this] {
    const thread::id outer = this_thread::get_id();
    return this->in([&] {
      EXPECT_NE(this_thread::get_id(), outer);
      return this->in([] { return 3; }) + 1;
    });
  });
  EXPECT_EQ(result, 4);
}

TYPED_TEST(Runtime, RunFromManyKernelThreads) {
  std::atomic<std::size_t> sum{0};
  std::vector<std::thread> foreign;
  const std::size_t rounds = scaled(100);
  for (int t = 0; t < 4; ++t) {
    foreign.emplace_back([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        sum.fetch_add(this->in([i] {
          this_thread::yield();
          return i;
        }));
      }
    });
  }
  for (std::thread& t : foreign) t.join();
  EXPECT_EQ(sum, 4 * rounds * (rounds - 1) / 2);
}

// Every model inside every model: threads of different runtimes meet at one mutex.
TYPED_TEST(Runtime, RuntimesNest) {
  this->in([this] {
    for (const model inner : {model::many_to_one, model::one_to_one, model::many_to_many}) {
      mutex m;
      int counter = 0;
      const auto work = [&] {
        for (int i = 0; i < 100; ++i) {
          const std::lock_guard hold(m);
          ++counter;
          if (i % 10 == 0) this_thread::yield();
        }
      };
      runtime_options options;
      options.model = inner;
      if (inner == model::many_to_many) options.width = 2;
      runtime second(options);
      thread here(work);
      second.run([&] {
        EXPECT_EQ(&runtime::current(), &second);
        thread there(work);
        work();
        there.join();
      });
      work();
      here.join();
      EXPECT_EQ(&runtime::current(), &this->runtime_);
      EXPECT_EQ(counter, 400);
    }
  });
}

TYPED_TEST(Runtime, TwoRuntimesHandOver) {
  runtime second(TestFixture::configuration::options());
  counting_semaphore<> to_second(0);
  counting_semaphore<> to_first(0);
  const std::size_t rounds = scaled(500);
  std::thread other([&] {
    second.run([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        to_second.acquire();
        to_first.release();
      }
    });
  });
  this->in([&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      to_second.release();
      to_first.acquire();
    }
  });
  other.join();
}

TYPED_TEST(Runtime, CountersCount) {
  const runtime_counters before = this->runtime_.counters();
  this->in([] {
    std::vector<thread> threads;
    for (int i = 0; i < 50; ++i) threads.emplace_back([] { this_thread::yield(); });
    for (thread& t : threads) t.join();
  });
  const runtime_counters after = this->runtime_.counters();
  EXPECT_EQ(after.threads_started - before.threads_started, 51U);
  EXPECT_GE(after.stolen_threads, after.steals);
  if (this->runtime_.width() == 1) {
    EXPECT_EQ(after.steals, 0U);
  }
}

TYPED_TEST(Runtime, ItsEndWaitsForDetachedThreads) {
  std::atomic<int> ended{0};
  {
    runtime one(TestFixture::configuration::options());
    one.run([&ended] {
      for (int i = 0; i < 30; ++i) {
        thread t([&ended, i] {
          this_thread::sleep_for(std::chrono::microseconds(50 * i));
          // Threads of a runtime that is about to end may make more.
          thread child([&ended] {
            this_thread::yield();
            ended.fetch_add(1);
          });
          child.detach();
          ended.fetch_add(1);
        });
        t.detach();
      }
    });
  }
  EXPECT_EQ(ended, 60);
}

TYPED_TEST(Runtime, ComesAndGoes) {
  for (int i = 0; i < 30; ++i) {
    runtime one(TestFixture::configuration::options());
    if (i % 3 != 0) {
      EXPECT_EQ(one.run([i] { return i; }), i);
    }
  }
}

TYPED_TEST(Runtime, StackSizeIsWhatWasAskedFor) {
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{64}, std::size_t{8192}}) {
    runtime_options options = TestFixture::configuration::options();
    options.stack_bytes = bytes * 1024;
    runtime one(options);
    EXPECT_EQ(one.stack_bytes(), bytes * 1024);
    EXPECT_EQ(one.run([] { return 1; }), 1);
  }
}

TEST(Model, NamesGoThereAndBack) {
  EXPECT_EQ(to_string(model::many_to_one), "m:1");
  EXPECT_EQ(to_string(model::one_to_one), "1:1");
  EXPECT_EQ(to_string(model::many_to_many), "m:n");
  for (const model each : {model::many_to_one, model::one_to_one, model::many_to_many}) {
    EXPECT_EQ(parse_model(to_string(each)), each);
  }
  for (const char* wrong : {"", "banana", "M:N", "m:2", "m:n ", "1:1x"}) {
    try {
      static_cast<void>(parse_model(wrong));
      FAIL() << wrong;
    } catch (const std::invalid_argument& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find(wrong), std::string::npos) << text;
      for (const char* allowed : {"m:1", "1:1", "m:n"}) {
        EXPECT_NE(text.find(allowed), std::string::npos) << text;
      }
    }
  }
}

// The default width is what affinity leaves when the runtime is made.
TEST(RuntimeWidth, FollowsTheAffinityForNewRuntimes) {
  cpu_set_t all;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(all), &all), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  {
    const runtime narrow({.model = model::many_to_many});
    EXPECT_EQ(narrow.width(), 1U);
    EXPECT_EQ(thread::hardware_concurrency(), 1U);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(all), &all), 0);
    EXPECT_EQ(narrow.width(), 1U);
  }
  const runtime wide({.model = model::many_to_many});
  EXPECT_EQ(wide.width(), thread::hardware_concurrency());
}

}  // namespace
}  // namespace treadle
