// Numbers and lines as people read them.
#include "treadle/lab/human.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace treadle::lab {
namespace {

TEST(human, times_take_the_unit_that_fits) {
  EXPECT_EQ(human(0, "ns"), "0 ns");
  EXPECT_EQ(human(7.123, "ns"), "7.12 ns");
  EXPECT_EQ(human(999.6, "ns"), "1.00 us");
  EXPECT_EQ(human(12'345, "ns"), "12.3 us");
  EXPECT_EQ(human(50'000'000, "ns"), "50 ms");
  EXPECT_EQ(human(-2'500, "ns"), "-2.50 us");
}

TEST(human, sizes_are_binary_and_rates_decimal) {
  EXPECT_EQ(human(65'536, "B"), "64 KiB");
  EXPECT_EQ(human(1.5 * 1024 * 1024 * 1024, "B"), "1.50 GiB");
  EXPECT_EQ(human(18'240'000, "sections/s"), "18.2 M sections/s");
  EXPECT_EQ(human(12, "tasks/s"), "12 tasks/s");
}

TEST(human, plain_numbers_have_groups_and_no_exponent) {
  EXPECT_EQ(human(1'000'000, "threads"), "1,000,000 threads");
  EXPECT_EQ(human(0.00002, "calls"), "0.00002 calls");
  EXPECT_EQ(human(-1'234, ""), "-1,234");
  EXPECT_EQ(human(std::numeric_limits<double>::infinity(), "ns"), "-");
}

TEST(human, lines_break_at_spaces) {
  EXPECT_EQ(wrapped("one two three", 9, "  "), "  one two\n  three");
  EXPECT_EQ(wrapped("", 9, "  "), "");
  EXPECT_EQ(wrapped("unbreakable", 4, ""), "unbreakable");
}

}  // namespace
}  // namespace treadle::lab
