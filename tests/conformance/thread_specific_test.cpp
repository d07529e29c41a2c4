// thread_specific in every model: one value a thread, made on first use, destroyed at its end.
#include <treadle/thread_specific.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class ThreadSpecific : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ThreadSpecific, every_model, model_names);

struct counted {
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> alive{0};
  counted() {
    made.fetch_add(1);
    alive.fetch_add(1);
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { alive.fetch_sub(1); }
  int value = 0;
};

TYPED_TEST(ThreadSpecific, StartsValueInitialised) {
  this->in([] {
    thread_specific<int> number;
    thread_specific<std::string> text;
    EXPECT_EQ(number.get_if(), nullptr);
    EXPECT_EQ(number.get(), 0);
    EXPECT_EQ(*number, 0);
    EXPECT_EQ(text->size(), 0U);
    EXPECT_EQ(number.get_if(), &number.get());
  });
}

TYPED_TEST(ThreadSpecific, EachThreadHasItsOwnOverParks) {
  this->in([] {
    thread_specific<int> number;
    thread_specific<std::string> text;
    std::atomic<int> wrong{0};
    std::vector<thread> threads;
    for (int i = 1; i <= 20; ++i) {
      threads.emplace_back([&, i] {
        if (number.get() != 0 || !text->empty()) wrong.fetch_add(1);
        *number = i;
        *text = std::to_string(i);
        int* const place = &number.get();
        for (std::size_t round = 0; round < scaled(100); ++round) {
          if (round % 8 == 0) {
            this_thread::sleep_for(std::chrono::microseconds(i));
          } else {
            this_thread::yield();
          }
          if (*number != i || *text != std::to_string(i) || &number.get() != place) {
            wrong.fetch_add(1);
          }
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(wrong, 0);
  });
}

TYPED_TEST(ThreadSpecific, DestroyedWhenTheThreadEnds) {
  const int before = counted::made;
  this->in([] {
    thread_specific<counted> mine;
    std::vector<thread> threads;
    for (int i = 0; i < 10; ++i) {
      threads.emplace_back([&mine, i] {
        if (i % 2 == 0) mine->value = i;  // odd ones never ask
        this_thread::yield();
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(counted::alive, 0);  // join comes after the destructors
  });
  EXPECT_EQ(counted::made - before, 5);
}

TYPED_TEST(ThreadSpecific, ResetDestroysNow) {
  this->in([] {
    thread_specific<counted> mine;
    mine.reset();
    mine->value = 3;
    EXPECT_EQ(counted::alive, 1);
    mine.reset();
    EXPECT_EQ(counted::alive, 0);
    EXPECT_EQ(mine.get_if(), nullptr);
    EXPECT_EQ(mine->value, 0);
    mine.reset();
  });
  EXPECT_EQ(counted::alive, 0);
}

TYPED_TEST(ThreadSpecific, ManyKeysInOneThread) {
  this->in([] {
    std::vector<std::unique_ptr<thread_specific<int>>> keys;
    for (int i = 0; i < 100; ++i) keys.push_back(std::make_unique<thread_specific<int>>());
    thread t([&keys] {
      for (int i = 0; i < 100; ++i) **keys[static_cast<std::size_t>(i)] = i;
      for (int i = 0; i < 100; ++i) EXPECT_EQ(**keys[static_cast<std::size_t>(i)], i);
    });
    t.join();
    for (auto& key : keys) EXPECT_EQ(key->get_if(), nullptr);
  });
}

// A new object never sees the value that this thread kept in an old one.
TYPED_TEST(ThreadSpecific, ANewKeyIsEmpty) {
  this->in([] {
    for (int i = 0; i < 100; ++i) {
      thread_specific<int> key;
      ASSERT_EQ(key.get_if(), nullptr);
      *key = i + 1;
    }
  });
}

TYPED_TEST(ThreadSpecific, ForeignKernelThreads) {
  thread_specific<counted> mine;
  mine->value = 1;
  std::vector<std::thread> foreign;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 5; ++i) {
    foreign.emplace_back([&, i] {
      if (mine->value != 0) wrong.fetch_add(1);
      mine->value = 10 + i;
      this->in([&] {
        if (mine->value != 0) wrong.fetch_add(1);
        mine->value = 99;
      });
      if (mine->value != 10 + i) wrong.fetch_add(1);
    });
  }
  for (std::thread& t : foreign) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(counted::alive, 1);  // this kernel thread's
  EXPECT_EQ(mine->value, 1);
  mine.reset();
  EXPECT_EQ(counted::alive, 0);
}

TYPED_TEST(ThreadSpecific, SystemScopeAndReusedStacks) {
  this->in([] {
    thread_specific<counted> mine;
    for (std::size_t i = 0; i < scaled(100); ++i) {
      int seen = -1;
      const auto scope = i % 5 == 0 ? contention_scope::system : contention_scope::process;
      thread t(thread_attributes{.scope = scope}, [&] {
        seen = mine->value;
        mine->value = 7;
      });
      t.join();
      ASSERT_EQ(seen, 0);
      ASSERT_EQ(counted::alive, 0);
    }
  });
}

}  // namespace
}  // namespace treadle
