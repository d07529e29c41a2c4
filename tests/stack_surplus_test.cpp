// The stacks of a burst of threads in M:N: kept for a while, then given back without anybody's
// doing, also by a runtime that has gone quiet.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "treadle/context/stack_arenas.hpp"
#include "treadle/treadle.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;

// A size of its own, so that no other runtime of the process has stacks in the arena.
constexpr std::size_t stack_bytes = 32 * 1024;
constexpr std::size_t guard_bytes = 8 * 1024;
constexpr std::size_t burst = 3'000;
constexpr std::uint32_t kept_for_good = 1'000;

// All have their stacks at the same time.
void burst_of_threads() {
  latch arrived(burst);
  latch go(1);
  std::vector<thread> threads;
  for (std::size_t i = 0; i < burst; ++i) {
    threads.emplace_back([&] {
      arrived.count_down();
      go.wait();
    });
  }
  arrived.wait();
  go.count_down();
  for (thread& each : threads) each.join();
}

TEST(StackSurplus, IsGivenBackByARuntimeThatHasGoneQuiet) {
  runtime own({.model = model::many_to_many,
               .width = 2,
               .stack_bytes = stack_bytes,
               .guard_bytes = guard_bytes});
  if (own.activation().level == core::activation_level::off) GTEST_SKIP() << "there is no monitor";
  context::stack_arena& arena = *context::arena_for(stack_bytes, guard_bytes);
  arena.set_warm_max(kept_for_good);
  own.run(burst_of_threads);
  EXPECT_GT(arena.counters().warm + arena.counters().cold, kept_for_good);
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (arena.counters().warm > kept_for_good && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_LE(arena.counters().warm, kept_for_good);
}

}  // namespace
}  // namespace treadle
