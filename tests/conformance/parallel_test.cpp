// parallel_for, parallel_reduce and parallel_invoke in every model.
#include <treadle/parallel.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/runtime.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Parallel : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Parallel, every_model, model_names);

// Long enough to be worth a split.
void spend(std::chrono::microseconds span) {
  const auto until = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < until) {
  }
}

TYPED_TEST(Parallel, EachElementOnce) {
  this->in([] {
    for (const std::size_t size : {0UL, 1UL, 2UL, 3UL, 1000UL, scaled(200'000)}) {
      for (const std::ptrdiff_t grain : {0, 1, 7, 100'000}) {
        if (grain == 1 && size > 1000) continue;
        std::vector<int> marks(size, 0);  // plain: the return orders it
        parallel_for(
            0UL, size, [&marks](std::size_t i) { ++marks[i]; }, grain);
        for (const int mark : marks) ASSERT_EQ(mark, 1);
        parallel_for(
            marks.begin(), marks.end(), [](int& mark) { ++mark; }, grain);
        for (const int mark : marks) ASSERT_EQ(mark, 2);
      }
    }
  });
}

TYPED_TEST(Parallel, WhateverTheBodiesCost) {
  this->in([] {
    for (int shape = 0; shape < 4; ++shape) {
      std::vector<int> marks(300, 0);
      parallel_for(0, 300, [&](int i) {
        if (shape == 1 || (shape == 2 && i > 280) || (shape == 3 && i == 0)) {
          spend(std::chrono::microseconds(30));
        }
        if (i % 50 == 0) this_thread::yield();
        if (i % 70 == 0) this_thread::sleep_for(std::chrono::microseconds(50));
        ++marks[static_cast<std::size_t>(i)];
      });
      for (const int mark : marks) ASSERT_EQ(mark, 1);
    }
  });
}

TYPED_TEST(Parallel, OddRanges) {
  this->in([] {
    std::atomic<std::int64_t> sum{0};
    const auto add = [&sum](std::int64_t i) { sum.fetch_add(i); };
    parallel_for(-5, 6, add);
    EXPECT_EQ(sum, 0);
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    parallel_for(least, least + 3, [&](std::int64_t i) { add(i - least); });
    EXPECT_EQ(sum, 3);
    std::atomic<int> count{0};
    parallel_for(std::int8_t{-128}, std::int8_t{127}, [&count](std::int8_t) { ++count; });
    EXPECT_EQ(count, 255);
    // Further from the first than an int counts: nobody wants to wait for the loop.
    constexpr int low = std::numeric_limits<int>::min();
    EXPECT_EQ(detail::element_at(low, std::ptrdiff_t{1} << 31), 0);
    EXPECT_EQ(detail::element_at(low, (std::ptrdiff_t{1} << 32) - 1), -(low + 1));
    EXPECT_EQ(detail::element_at(-2'000'000'000, 4'000'000'000), 2'000'000'000);
    EXPECT_THROW(parallel_for(1, 0, add), std::invalid_argument);
    EXPECT_THROW(parallel_for(0, 1, add, -1), std::invalid_argument);
    EXPECT_THROW(parallel_for(least, std::numeric_limits<std::int64_t>::max(), add),
                 std::invalid_argument);
    EXPECT_THROW(parallel_reduce(
                     1U, 0U, 0, [](unsigned) { return 0; }, std::plus<>()),
                 std::invalid_argument);
    EXPECT_EQ(sum, 3);
  });
}

TYPED_TEST(Parallel, AtMostTheWidthAtOnce) {
  this->in([this] {
    const int width = static_cast<int>(this->runtime_.width());
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    parallel_for(
        0, 400,
        [&](int) {
          const int now = inside.fetch_add(1) + 1;
          int seen = most;
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          this_thread::yield();
          inside.fetch_sub(1);
        },
        1);
    EXPECT_LE(most, width);
    // Kernel threads are few, however many elements there are.
    const auto before = this->runtime_.counters().threads_started;
    parallel_for(
        0, 20'000, [](int) {}, 1);
    if (TestFixture::own_kernel_threads) {
      EXPECT_LE(this->runtime_.counters().threads_started - before, 2000U);
    }
  });
}

TYPED_TEST(Parallel, TheFirstExceptionArrives) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(30); ++round) {
      const int bad = static_cast<int>(round * 37 % 1000);
      std::atomic<int> inside{0};
      try {
        parallel_for(
            0, 1000,
            [&](int i) {
              inside.fetch_add(1);
              struct out {
                std::atomic<int>& count;
                ~out() { count.fetch_sub(1); }
              } leave{inside};
              if (i % 100 == 99) this_thread::yield();
              if (i == bad) throw std::runtime_error(std::to_string(i));
            },
            3);
        FAIL() << "no exception";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), std::to_string(bad));
      }
      ASSERT_EQ(inside, 0);
    }
    EXPECT_THROW(parallel_for(
                     0, 1000, [](int i) { throw i; }, 1),
                 int);
  });
}

TYPED_TEST(Parallel, ReducesFromLeftToRight) {
  this->in([] {
    for (const std::ptrdiff_t grain : {0, 1, 10}) {
      // Strings: associative, not commutative.
      const std::string all = parallel_reduce(
          0, 1000, std::string(),
          [](int i) {
            if (i % 100 == 0) spend(std::chrono::microseconds(20));
            return std::string(1, static_cast<char>('a' + i % 26));
          },
          [](std::string a, const std::string& b) { return std::move(a) + b; }, grain);
      std::string expected;
      for (int i = 0; i < 1000; ++i) expected += static_cast<char>('a' + i % 26);
      ASSERT_EQ(all, expected);
    }
    std::vector<std::uint64_t> values(scaled(100'000));
    std::iota(values.begin(), values.end(), 1);
    const auto sum = parallel_reduce(
        values.begin(), values.end(), std::uint64_t{0}, [](std::uint64_t v) { return v; },
        std::plus<>());
    EXPECT_EQ(sum, values.size() * (values.size() + 1) / 2);
    EXPECT_EQ(parallel_reduce(
                  0, 0, 42, [](int) { return 1; }, std::plus<>()),
              42);
    EXPECT_THROW(parallel_reduce(
                     0, 100, 0, [](int i) { return i == 50 ? throw i : i; }, std::plus<>(), 1),
                 int);
  });
}

TYPED_TEST(Parallel, Nested) {
  this->in([] {
    std::vector<std::vector<int>> table(20, std::vector<int>(50, 0));
    parallel_for(
        table.begin(), table.end(),
        [](std::vector<int>& row) {
          parallel_for(
              row.begin(), row.end(), [](int& cell) { cell = 1; }, 5);
        },
        1);
    for (const auto& row : table) EXPECT_EQ(std::accumulate(row.begin(), row.end(), 0), 50);
  });
}

TYPED_TEST(Parallel, Invoke) {
  this->in([] {
    int a = 0;
    binary_semaphore from_first(0);
    std::unique_ptr<int> b;
    parallel_invoke([&] { from_first.release(); }, [&] { a = 1; },
                    [&, owned = std::make_unique<int>(2)]() mutable {
                      from_first.acquire();
                      b = std::move(owned);
                    });
    EXPECT_EQ(a, 1);
    EXPECT_EQ(*b, 2);
    parallel_invoke([&a] { a = 3; });
    EXPECT_EQ(a, 3);
    EXPECT_THROW(parallel_invoke([] { throw 1; }, [&a] { a = 4; }), int);
    EXPECT_THROW(parallel_invoke([&a] { a = 5; }, [] { throw 1; }), int);
    EXPECT_EQ(a, 5);
  });
}

TYPED_TEST(Parallel, ForeignKernelThreads) {
  std::vector<int> marks(1000, 0);
  std::thread foreign([&marks] {
    parallel_for(
        marks.begin(), marks.end(), [](int& mark) { ++mark; }, 10);
  });
  foreign.join();
  parallel_for(
      marks.begin(), marks.end(), [](int& mark) { ++mark; }, 10);
  for (const int mark : marks) ASSERT_EQ(mark, 2);
}

}  // namespace
}  // namespace treadle
