#include "treadle/base/cpu_width.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

namespace treadle::base {
namespace {

// A tree of control groups made of plain files.
class cpu_width_test : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "cpu_width_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, std::string_view text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void write_v1(const std::string& group, std::string_view quota, std::string_view period) {
    write(group + "/cpu.cfs_quota_us", quota);
    write(group + "/cpu.cfs_period_us", period);
  }
  unsigned limit(std::string_view membership) { return cgroup_limit(membership, root_.native()); }

  std::filesystem::path root_;
};

TEST_F(cpu_width_test, quota_is_rounded_up) {
  const struct {
    const char* text;
    unsigned limit;
  } cases[] = {{"150000 100000\n", 2},
               {"100000 100000\n", 1},
               {"100001 100000\n", 2},
               {"1000 100000\n", 1},
               {"400000 100000\n", 4},
               {"50000 25000", 2},
               {"max 100000\n", 0},
               {"", 0},
               {"\n", 0},
               {"banana\n", 0},
               {"150000\n", 0},
               {"150000 0\n", 0},
               {"0 100000\n", 0},
               {"-1 100000\n", 0},
               {"150000 100000 7\n", 0},
               {" 150000 100000\n", 0},
               {"150000  100000\n", 0},
               {"1e5 100000\n", 0},
               {"max\n", 0},
               {"max max\n", 0},
               {"99999999999999999999 1\n", 0},
               {"999999999999999999 1\n", 65536}};
  for (const auto& each : cases) {
    write("box/cpu.max", each.text);
    EXPECT_EQ(limit("0::/box\n"), each.limit) << each.text;
  }
}

TEST_F(cpu_width_test, smallest_quota_on_the_path_counts) {
  write("a/b/c/cpu.max", "800000 100000\n");
  write("a/b/cpu.max", "max 100000\n");
  write("a/cpu.max", "300000 100000\n");
  EXPECT_EQ(limit("0::/a/b/c\n"), 3U);
  write("cpu.max", "200000 100000\n");
  EXPECT_EQ(limit("0::/a/b/c\n"), 2U) << "the root of a container has a quota too";
  EXPECT_EQ(limit("0::/\n"), 2U);
  write("a/b/c/cpu.max", "50000 100000\n");
  EXPECT_EQ(limit("0::/a/b/c\n"), 1U);
  EXPECT_EQ(limit("0::/a/b\n"), 2U) << "groups below the process's own do not bind it";
}

TEST_F(cpu_width_test, groups_that_are_not_mounted_are_passed_over) {
  write("cpu.max", "200000 100000\n");
  EXPECT_EQ(limit("0::/docker/0123456789/payload\n"), 2U);
  EXPECT_EQ(limit("0::/../other\n"), 2U);
}

TEST_F(cpu_width_test, version_1) {
  write_v1("cpu/docker/box", "150000\n", "100000\n");
  EXPECT_EQ(limit("4:cpu:/docker/box\n"), 2U);
  EXPECT_EQ(limit("4:cpuset:/docker/box\n"), 0U);
  EXPECT_EQ(limit("9:memory:/x\n4:cpu,cpuacct:/docker/box\n0::/\n"), 2U);
  write_v1("cpu/docker/box", "-1\n", "100000\n");
  EXPECT_EQ(limit("4:cpu:/docker/box\n"), 0U) << "-1 is no limit";
  write_v1("cpu", "300000\n", "100000\n");
  EXPECT_EQ(limit("4:cpu:/docker/box\n"), 3U);
}

TEST_F(cpu_width_test, version_1_mounted_under_both_names) {
  write_v1("cpu,cpuacct/box", "100000\n", "50000\n");
  EXPECT_EQ(limit("4:cpu,cpuacct:/box\n"), 2U);
}

TEST_F(cpu_width_test, both_versions_at_once) {
  write_v1("cpu/box", "300000\n", "100000\n");
  write("unified/box/cpu.max", "200000 100000\n");
  EXPECT_EQ(limit("1:cpu:/box\n0::/box\n"), 2U);
}

TEST_F(cpu_width_test, malformed_membership_is_no_limit) {
  write("cpu.max", "200000 100000\n");
  for (const char* membership : {"", "\n", ":", "::", "0", "0::", "0:", "0::relative", "x:y:z"}) {
    EXPECT_EQ(limit(membership), 0U) << membership;
  }
  const std::string long_path = "0::/" + std::string(5000, 'a');
  EXPECT_EQ(limit(long_path), 0U);
  EXPECT_EQ(limit("0::/" + std::string(4096 - root_.native().size() - 4, 'a')), 2U);
}

TEST_F(cpu_width_test, nothing_mounted_is_no_limit) {
  EXPECT_EQ(cgroup_limit("0::/box\n1:cpu:/box\n", "/no/such/place"), 0U);
}

TEST_F(cpu_width_test, affinity_to_one_cpu_gives_one) {
  std::thread([] {
    cpu_set_t allowed;
    ASSERT_EQ(::sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    EXPECT_EQ(affinity_width(), static_cast<unsigned>(CPU_COUNT(&allowed)));
    int first = 0;
    while (!CPU_ISSET(first, &allowed)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    errno = 4711;
    EXPECT_EQ(affinity_width(), 1U);
    EXPECT_EQ(usable_width(), 1U);
    EXPECT_EQ(errno, 4711);
  }).join();
}

TEST_F(cpu_width_test, is_within_the_machine) {
  EXPECT_GE(usable_width(), 1U);
  EXPECT_LE(usable_width(), affinity_width());
}

}  // namespace
}  // namespace treadle::base
