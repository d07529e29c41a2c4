#include "treadle/context/stack_arenas.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "treadle/context/stack_surplus.hpp"

namespace treadle::context {
namespace {

constexpr std::size_t kib = 1024;

TEST(stack_arenas_test, equal_sizes_share_an_arena) {
  stack_arena* const arena = arena_for(256 * kib, 4 * kib);
  ASSERT_NE(arena, nullptr);
  EXPECT_EQ(arena_for(256 * kib, 4 * kib), arena);
  EXPECT_EQ(arena_for(200 * kib, 1), arena);
  EXPECT_EQ(arena->stack_bytes(), 256 * kib);
  EXPECT_EQ(arena->guard_bytes(), 4 * kib);
  EXPECT_NE(arena_for(256 * kib, 64 * kib), arena);
  EXPECT_NE(arena_for(257 * kib, 4 * kib), arena);
}

TEST(stack_arenas_test, finds_the_arena_of_an_address) {
  stack_arena* const small = arena_for(16 * kib, 4 * kib);
  stack_arena* const large = arena_for(128 * kib, 4 * kib);
  ASSERT_EQ(small->promise(1), 0);
  ASSERT_EQ(large->promise(1), 0);
  stack mine[2];
  ASSERT_EQ(small->take(&mine[0], 1), 1U);
  ASSERT_EQ(large->take(&mine[1], 1), 1U);
  stack found{};
  EXPECT_EQ(arena_of(mine[0].bottom - 1, &found), small);
  EXPECT_EQ(found.slot, mine[0].slot);
  EXPECT_EQ(arena_of(mine[1].top - 1, &found), large);
  EXPECT_EQ(found.top, mine[1].top);
  EXPECT_EQ(arena_of(&found, &found), nullptr);
  EXPECT_EQ(arena_of(nullptr, &found), nullptr);

  struct tally {
    int visited = 0;
    int stop_at = 0;
  };
  const auto count_one = [](const stack&, void* argument) {
    auto& here = *static_cast<tally*>(argument);
    return ++here.visited != here.stop_at;
  };
  tally all;
  for_each_touched_slot(count_one, &all, 1000);
  EXPECT_EQ(all.visited, 2);
  tally bounded;
  for_each_touched_slot(count_one, &bounded, 1);
  EXPECT_EQ(bounded.visited, 1);
  tally stopped{0, 1};
  for_each_touched_slot(count_one, &stopped, 1000);
  EXPECT_EQ(stopped.visited, 1);
  small->put(&mine[0], 1);
  small->give_up(1);
  large->put(&mine[1], 1);
  large->give_up(1);
}

TEST(stack_arenas_test, the_last_who_keeps_gives_the_surplus_back) {
  stack_arena* const arena = arena_for(32 * kib, 4 * kib);
  arena->set_warm_max(100);
  ASSERT_EQ(arena->promise(2000), 0);
  std::vector<stack> mine(2000);
  ASSERT_EQ(arena->take(mine.data(), mine.size()), mine.size());
  arena->give_up(mine.size());
  begin_keeping();
  begin_keeping();
  arena->put(mine.data(), mine.size());
  EXPECT_TRUE(has_surplus());
  end_keeping();
  EXPECT_EQ(arena->counters().warm, 2000U);
  const std::int64_t next = trim_unused(7);
  EXPECT_EQ(next, 7 + stack_arena::keep_span);
  EXPECT_TRUE(has_surplus());
  end_keeping();
  EXPECT_LE(arena->counters().warm, 100U);
  EXPECT_EQ(trim_unused(8), stack_arena::never);
  EXPECT_FALSE(has_surplus());
}

// Last: fills the registry.
TEST(stack_arenas_test, too_many_or_too_large_is_refused) {
  ASSERT_NE(arena_for(16 * kib, 4 * kib), nullptr);
  EXPECT_EQ(arena_for(std::size_t{2} << 30, 4 * kib), nullptr);
  EXPECT_EQ(arena_for(~std::size_t{0}, 4 * kib), nullptr);
  EXPECT_EQ(arena_for(16 * kib, ~std::size_t{0}), nullptr);
  stack_arena* last = nullptr;
  std::size_t made = 0;
  for (std::size_t pages = 1; (last = arena_for(512 * kib, pages * 4 * kib)) != nullptr; ++pages) {
    ASSERT_LT(++made, 1000U);
  }
  EXPECT_NE(arena_for(16 * kib, 4 * kib), nullptr) << "the ones that exist are still found";
}

}  // namespace
}  // namespace treadle::context
