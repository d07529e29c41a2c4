// M:N: a crowd of sleepers, whose timers come one after another, is served by few naps.
#include <treadle/runtime.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <treadle/scope.hpp>
#include <treadle/this_thread.hpp>

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class Crowd : public ::testing::TestWithParam<unsigned> {
 protected:
  runtime runtime_{{.model = model::many_to_many, .width = GetParam()}};
};

// A crowd, or each nap would end for a few of them.
TEST_P(Crowd, FewNapsServeManySleepers) {
  constexpr int sleepers = 8000;
  constexpr auto span = 100ms;
  std::atomic<int> early{0};
  std::uint64_t naps = 0;
  runtime_.run([&] {
    std::mt19937 random(17);
    std::uniform_int_distribution<std::int64_t> within(0, std::chrono::nanoseconds(span).count());
    const auto begin = steady_clock::now() + 200ms;
    scope all;
    for (int i = 0; i < sleepers; ++i) {
      const auto until = begin + std::chrono::nanoseconds(within(random));
      all.spawn([&early, until] {
        this_thread::sleep_until(until);
        if (steady_clock::now() < until) early.fetch_add(1, std::memory_order_relaxed);
      });
    }
    this_thread::sleep_until(begin);
    naps = runtime_.counters().sleeps;
    all.join();
    naps = runtime_.counters().sleeps - naps;
  });
  EXPECT_EQ(early.load(), 0);
  // Measured: 370 to 430; without the rule for crowds 970 to 1150. A busy machine makes them fewer.
  // Two workers also nap while the other one works.
  if (GetParam() == 1) {
    EXPECT_LE(naps, 700U);
  }
}

INSTANTIATE_TEST_SUITE_P(Workers, Crowd, ::testing::Values(1U, 2U));

}  // namespace
}  // namespace treadle
