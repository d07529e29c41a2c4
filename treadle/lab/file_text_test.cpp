// Picking numbers out of the kernel's text files.
#include "treadle/lab/file_text.hpp"

#include <gtest/gtest.h>

namespace treadle::lab {
namespace {

constexpr std::string_view status =
    "Name:\tx\nVmSize:\t  123 kB\nVmRSS:\t45 kB\nVmSizeMax:\t9 kB\n";

TEST(file_text, finds_a_field_by_its_whole_name) {
  EXPECT_EQ(field_number(status, "VmSize"), 123u);
  EXPECT_EQ(field_number(status, "VmRSS"), 45u);
  EXPECT_EQ(field_number(status, "Vm"), std::nullopt);
  EXPECT_EQ(field_number(status, "Name"), std::nullopt);
}

TEST(file_text, blanks_may_stand_before_the_colon) {
  EXPECT_EQ(field_text("model name\t: Some CPU \nx: 1", "model name"), "Some CPU");
  EXPECT_EQ(field_text("key:\nnext: 1", "key"), "");
}

TEST(file_text, a_file_that_is_not_there_is_nothing) {
  EXPECT_EQ(file_text("/nonexistent/file"), std::nullopt);
  EXPECT_EQ(file_number("/nonexistent/file"), std::nullopt);
  EXPECT_TRUE(file_number("/proc/sys/kernel/pid_max").has_value());
}

}  // namespace
}  // namespace treadle::lab
