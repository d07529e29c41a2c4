// scope in every model: results, order, nesting, exceptions, children that block.
#include <treadle/scope.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/condition_variable.hpp>
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
class Scope : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Scope, every_model, model_names);

static_assert(!std::is_copy_constructible_v<scope>);

int fib(int n) {
  if (n < 2) return n;
  int left = 0;
  int right = 0;
  {
    scope forks;
    forks.spawn([&left, n] { left = fib(n - 1); });
    right = fib(n - 2);
    forks.join();
  }
  return left + right;
}

TYPED_TEST(Scope, Fib) {
#if defined(TREADLE_TSAN)
  constexpr int deepest = 8;
#else
  const int deepest = TestFixture::own_kernel_threads ? 11 : 18;
#endif
  constexpr std::array<int, 19> known{0,  1,  1,   2,   3,   5,   8,   13,   21,  34,
                                      55, 89, 144, 233, 377, 610, 987, 1597, 2584};
  this->in([&] {
    for (int n = 0; n <= deepest; ++n) ASSERT_EQ(fib(n), known[static_cast<std::size_t>(n)]);
  });
}

TYPED_TEST(Scope, ChildrenRunBeforeJoinReturns) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      std::vector<int> done(20, 0);  // plain: the join orders it
      scope forks;
      for (int& mark : done) {
        forks.spawn([&mark] {
          this_thread::yield();
          mark = 1;
        });
      }
      forks.join();
      ASSERT_EQ(std::accumulate(done.begin(), done.end(), 0), 20);
    }
  });
}

TYPED_TEST(Scope, DestructorJoins) {
  this->in([] {
    int value = 0;
    {
      scope forks;
      forks.spawn([&value] {
        for (int i = 0; i < 20; ++i) this_thread::yield();
        value = 1;
      });
    }
    EXPECT_EQ(value, 1);
    { const scope empty; }
  });
}

TYPED_TEST(Scope, UsedAgainAfterJoin) {
  this->in([] {
    scope forks;
    forks.join();
    int sum = 0;
    for (int i = 0; i < 5; ++i) {
      forks.spawn([&sum, i] { sum += i; });
      forks.join();
      forks.join();
    }
    EXPECT_EQ(sum, 10);
  });
}

TYPED_TEST(Scope, SerialOrderWhenNobodySteals) {
  if (TestFixture::own_kernel_threads || this->runtime_.width() > 1)
    GTEST_SKIP() << "somebody may steal";
  this->in([] {
    std::string order;
    {
      scope outer;
      order += 'a';
      outer.spawn([&order] {
        order += 'b';
        scope inner;
        inner.spawn([&order] { order += 'c'; });
        order += 'd';
        inner.spawn([&order] { order += 'e'; });
        order += 'f';
      });
      order += 'g';
      outer.spawn([&order] { order += 'h'; });
      order += 'i';
    }
    order += 'j';
    EXPECT_EQ(order, "abcdefghij");
  });
}

TYPED_TEST(Scope, TheParentStaysTheSameThread) {
  this->in([] {
    const thread::id parent = this_thread::get_id();
    std::atomic<int> wrong{0};
    scope forks;
    for (int i = 0; i < 50; ++i) {
      forks.spawn([&wrong, parent] {
        if (this_thread::get_id() == parent) wrong.fetch_add(1);
        if (this_thread::get_id() == thread::id()) wrong.fetch_add(1);
      });
      if (this_thread::get_id() != parent) wrong.fetch_add(1);
    }
    forks.join();
    EXPECT_EQ(this_thread::get_id(), parent);
    EXPECT_EQ(wrong, 0);
  });
}

TYPED_TEST(Scope, ChildrenBlock) {
  this->in([] {
    mutex m;
    condition_variable changed;
    int arrived = 0;
    constexpr int count = 30;
    scope forks;
    for (int i = 0; i < count; ++i) {
      forks.spawn([&, i] {
        this_thread::sleep_for(std::chrono::microseconds(i * 13 % 50));
        std::unique_lock hold(m);
        if (++arrived == count) changed.notify_all();
        changed.wait(hold, [&] { return arrived == count; });
      });
    }
    forks.join();
    EXPECT_EQ(arrived, count);
  });
}

TYPED_TEST(Scope, TheParentBlocksWhileChildrenRun) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(100); ++round) {
      binary_semaphore from_child(0);
      binary_semaphore from_parent(0);
      int value = 0;
      scope forks;
      forks.spawn([&] {
        from_parent.acquire();  // leaves the rest of the parent to run
        value += 1;
        from_child.release();
      });
      forks.spawn([&] { this_thread::yield(); });
      from_parent.release();
      from_child.acquire();
      value += 1;
      forks.join();
      ASSERT_EQ(value, 2);
    }
  });
}

// A child that was left behind ends where its parent, stopped by a later fork, lies in the deque.
TYPED_TEST(Scope, AnOlderChildEndsDuringALaterFork) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      binary_semaphore go(0);
      binary_semaphore hold(0);
      int ended = 0;
      scope older;
      older.spawn([&] {
        go.acquire();
        ended = 1;
      });
      scope younger;
      younger.spawn([&] {
        go.release();
        hold.acquire();
      });
      hold.release();
      younger.join();
      older.join();
      ASSERT_EQ(ended, 1);
    }
  });
}

TYPED_TEST(Scope, JoinThrowsWhatAChildThrew) {
  this->in([] {
    std::atomic<int> finished{0};
    scope forks;
    for (int i = 0; i < 10; ++i) {
      forks.spawn([&finished, i] {
        this_thread::yield();
        finished.fetch_add(1);
        if (i == 3) throw std::runtime_error("child 3");
      });
    }
    try {
      forks.join();
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "child 3");
    }
    EXPECT_EQ(finished, 10);  // it threw after all had ended
    forks.join();             // and once
  });
}

TYPED_TEST(Scope, OneOfManyExceptionsArrives) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      scope forks;
      for (int i = 0; i < 8; ++i) {
        forks.spawn([i] {
          if (i % 2 == 0) this_thread::yield();
          throw i;
        });
      }
      int caught = -1;
      try {
        forks.join();
      } catch (int value) {
        caught = value;
      }
      ASSERT_GE(caught, 0);
      ASSERT_LT(caught, 8);
    }
  });
}

TYPED_TEST(Scope, TheParentThrowsWhileChildrenRun) {
  this->in([] {
    int done = 0;
    try {
      scope forks;
      forks.spawn([&done] {
        for (int i = 0; i < 10; ++i) this_thread::yield();
        done = 1;
      });
      throw std::runtime_error("parent");
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "parent");
      EXPECT_EQ(done, 1);  // unwinding waited
    }
  });
}

TYPED_TEST(Scope, ExceptionsClimbThroughNestedScopes) {
  this->in([] {
    struct climber {
      static void climb(int depth) {
        if (depth == 0) throw std::runtime_error("from the leaf");
        scope forks;
        forks.spawn([depth] { climb(depth - 1); });
        forks.join();
      }
    };
    EXPECT_THROW(climber::climb(10), std::runtime_error);
  });
}

TYPED_TEST(Scope, MoveOnlyAndLargeChildren) {
  this->in([] {
    std::atomic<int> sum{0};
    scope forks;
    forks.spawn([owned = std::make_unique<int>(40), &sum] { sum.fetch_add(*owned); });
    struct alignas(128) wide {
      std::array<char, 2000> bytes{};
    };
    wide payload;
    payload.bytes[1999] = 2;
    forks.spawn([payload, &sum] {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&payload) % 128, 0U);
      sum.fetch_add(payload.bytes[1999]);
    });
    forks.join();
    EXPECT_EQ(sum, 42);
  });
}

TYPED_TEST(Scope, DeepAndWide) {
  this->in([] {
    // Deeper than the bounded deque of parents, on small stacks of their own.
    struct digger {
      static int dig(int depth) {
        if (depth == 0) return 0;
        int below = 0;
        scope forks;
        forks.spawn([&below, depth] { below = dig(depth - 1); });
        forks.join();
        return below + 1;
      }
    };
    const int depth = static_cast<int>(scaled(3000, TestFixture::own_kernel_threads));
    EXPECT_EQ(digger::dig(depth), depth);

    std::atomic<std::size_t> ended{0};
    const std::size_t width = scaled(20'000, TestFixture::own_kernel_threads);
    scope forks;
    for (std::size_t i = 0; i < width; ++i) {
      forks.spawn([&ended, i] {
        if (i % 64 == 0) this_thread::yield();
        ended.fetch_add(1);
      });
    }
    forks.join();
    EXPECT_EQ(ended, width);
  });
}

TYPED_TEST(Scope, ManyScopesAtOnce) {
  this->in([] {
    std::vector<thread> threads;
    std::atomic<int> right{0};
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&right] {
        if (fib(9) == 34) right.fetch_add(1);
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(right, 16);
  });
}

// In the default runtime: these threads belong to no other.
TYPED_TEST(Scope, ForeignKernelThreads) {
  int left = 0;
  std::thread foreign([&left] { left = fib(8); });
  const int right = fib(8);
  foreign.join();
  EXPECT_EQ(left, 21);
  EXPECT_EQ(right, 21);
}

}  // namespace
}  // namespace treadle
