// Medians, changes of unit, and the search for a number of operations.
#include "treadle/lab/sample.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace treadle::lab {
namespace {

TEST(sample, takes_the_middle_and_the_ends) {
  const sample odd = summarise({5, 1, 9});
  EXPECT_DOUBLE_EQ(odd.median, 5);
  EXPECT_DOUBLE_EQ(odd.lowest, 1);
  EXPECT_DOUBLE_EQ(odd.highest, 9);
  EXPECT_EQ(odd.count, 3u);
  EXPECT_DOUBLE_EQ(summarise({4, 1, 2, 3}).median, 2.5);
  EXPECT_THROW(summarise({}), std::invalid_argument);
}

TEST(sample, a_falling_change_swaps_the_ends) {
  const sample rate = map(sample{2, 1, 4, 3}, [](double value) { return 1 / value; });
  EXPECT_DOUBLE_EQ(rate.median, 0.5);
  EXPECT_DOUBLE_EQ(rate.lowest, 0.25);
  EXPECT_DOUBLE_EQ(rate.highest, 1);
}

TEST(sample, finds_how_many_operations_fill_the_target) {
  // An operation of 10 ns and a start of 50 ns: no clock is involved.
  const auto run = [](std::uint64_t count) { return 50 + 10 * static_cast<double>(count); };
  const std::uint64_t found = operations_lasting(std::chrono::microseconds(100), 1, run);
  EXPECT_GE(run(found), 50'000);
  EXPECT_LE(run(found), 400'000);
}

TEST(sample, the_search_ends_when_time_seems_to_stand_still) {
  const std::uint64_t found =
      operations_lasting(std::chrono::seconds(1), 1, [](std::uint64_t) { return 0.0; });
  EXPECT_GE(found, std::uint64_t{1} << 30);
}

}  // namespace
}  // namespace treadle::lab
