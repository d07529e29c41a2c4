#include "treadle/io/descriptor_table.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "treadle/base/system_call.hpp"

namespace treadle::io {
namespace {

TEST(descriptor_table, gives_each_number_its_own_line) {
  descriptor_table table;
  std::set<descriptor*> seen;
  int error = 0;
  for (const int number :
       {0, 1, 1023, 1024, 1025, 20'000, 1'000'000, descriptor_table::descriptors_max - 1}) {
    descriptor* found = table.find(number, error);
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(seen.insert(found).second);
    EXPECT_EQ(found, table.find(number, error));
    EXPECT_EQ(found->state.load(base::relaxed), 0U);
  }
}

TEST(descriptor_table, refuses_what_is_no_number) {
  descriptor_table table;
  int error = 0;
  EXPECT_EQ(table.find(-1, error), nullptr);
  EXPECT_EQ(error, EBADF);
  error = 0;
  EXPECT_EQ(table.find(descriptor_table::descriptors_max, error), nullptr);
  EXPECT_EQ(error, EBADF);
}

TEST(descriptor_table, says_when_there_is_no_memory) {
  descriptor_table table;
  int error = 0;
  base::fail_nth(base::faulty_call::mmap, 1, ENOMEM);
  EXPECT_EQ(table.find(5, error), nullptr);
  EXPECT_EQ(error, ENOMEM);
  EXPECT_NE(table.find(5, error), nullptr);
}

TEST(descriptor_table, kernel_threads_that_come_together_get_the_same_line) {
  for (int round = 0; round < 50; ++round) {
    descriptor_table table;
    constexpr int threads = 4;
    descriptor* found[threads] = {};
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&table, &mine = found[i]] {
        int error = 0;
        mine = table.find(7, error);
      });
    }
    for (std::thread& one : all) one.join();
    for (const descriptor* one : found) EXPECT_EQ(one, found[0]);
  }
}

TEST(descriptor_table, visits_what_may_have_been_used) {
  descriptor_table table;
  int error = 0;
  descriptor* wanted = table.find(3000, error);
  bool seen = false;
  std::size_t visited = 0;
  table.for_each([&](descriptor& one) {
    seen |= &one == wanted;
    ++visited;
  });
  EXPECT_TRUE(seen);
  EXPECT_EQ(visited, static_cast<std::size_t>(descriptor_table::chunk_descriptors));
}

}  // namespace
}  // namespace treadle::io
