// Limits are read as something sensible, and an impossible wish is refused with the limit's name.
#include "treadle/lab/limits.hpp"

#include <gtest/gtest.h>

namespace treadle::lab {
namespace {

TEST(limits, no_machine_has_room_for_everything) {
  EXPECT_GT(memory_available(), 0);
  EXPECT_TRUE(why_no_memory(1e18).has_value());
  EXPECT_FALSE(why_no_memory(0).has_value());
}

TEST(limits, the_reason_names_the_limit) {
  // 2^22 is the most that kernel.pid_max can be (proc(5)).
  const std::optional<std::string> why = why_no_kernel_threads(std::uint64_t{1} << 23);
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find(kernel_thread_room().limit), std::string::npos) << *why;
  EXPECT_FALSE(why_no_kernel_threads(0).has_value());
}

}  // namespace
}  // namespace treadle::lab
