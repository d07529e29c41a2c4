#include "treadle/base/system_call.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>

namespace treadle::base {
namespace {

class system_call_test : public testing::Test {
 protected:
  void TearDown() override {
    for (int i = 0; i < static_cast<int>(faulty_call::count); ++i) {
      fail_nth(static_cast<faulty_call>(i), 0, 0);
    }
  }
};

mapping_result map_pages(std::size_t count) {
  return map_memory(nullptr, count * page_bytes(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

TEST_F(system_call_test, maps_and_unmaps) {
  const mapping_result pages = map_pages(2);
  ASSERT_EQ(pages.error, 0);
  static_cast<char*>(pages.address)[page_bytes()] = 1;
  EXPECT_EQ(protect_memory(pages.address, page_bytes(), PROT_READ), 0);
  EXPECT_EQ(advise_memory(pages.address, 2 * page_bytes(), MADV_DONTNEED), 0);
  EXPECT_EQ(static_cast<char*>(pages.address)[page_bytes()], 0);
  EXPECT_EQ(unmap_memory(pages.address, 2 * page_bytes()), 0);
}

TEST_F(system_call_test, reports_the_kernels_error_and_keeps_errno) {
  errno = 4711;
  const mapping_result nothing = map_memory(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
  EXPECT_EQ(nothing.error, EINVAL);
  EXPECT_EQ(nothing.address, nullptr);
  EXPECT_EQ(unmap_memory(reinterpret_cast<void*>(1), page_bytes()), EINVAL);
  EXPECT_EQ(errno, 4711);
}

TEST_F(system_call_test, only_the_nth_call_fails) {
  fail_nth(faulty_call::mmap, 2, ENFILE);
  const mapping_result first = map_pages(1);
  const mapping_result second = map_pages(1);
  const mapping_result third = map_pages(1);
  EXPECT_EQ(first.error, 0);
  EXPECT_EQ(second.error, ENFILE);
  EXPECT_EQ(second.address, nullptr);
  EXPECT_EQ(third.error, 0);
  EXPECT_EQ(calls_made(faulty_call::mmap), 3U);
  unmap_memory(first.address, page_bytes());
  unmap_memory(third.address, page_bytes());
}

TEST_F(system_call_test, from_the_nth_call_on_all_fail) {
  fail_from(faulty_call::thread_create, 1, EAGAIN);
  pthread_t thread;
  const auto body = [](void* argument) { return argument; };
  EXPECT_EQ(create_kernel_thread(&thread, nullptr, body, nullptr), EAGAIN);
  EXPECT_EQ(create_kernel_thread(&thread, nullptr, body, nullptr), EAGAIN);
  fail_nth(faulty_call::thread_create, 0, 0);
  ASSERT_EQ(create_kernel_thread(&thread, nullptr, body, &thread), 0);
  void* result = nullptr;
  EXPECT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, &thread);
}

TEST_F(system_call_test, a_batch_stops_at_the_injected_range) {
  constexpr std::size_t count = 5;
  const mapping_result pages = map_pages(count);
  ASSERT_EQ(pages.error, 0);
  auto* const bytes = static_cast<char*>(pages.address);
  iovec ranges[count];
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i * page_bytes()] = 1;
    ranges[i] = {bytes + i * page_bytes(), page_bytes()};
  }
  fail_nth(faulty_call::madvise, 4, ENOMEM);
  const batch_result result = advise_batch(ranges, count, MADV_DONTNEED);
  EXPECT_EQ(result.done, 3U);
  EXPECT_EQ(result.error, ENOMEM);
  EXPECT_EQ(bytes[2 * page_bytes()], 0);
  EXPECT_EQ(bytes[3 * page_bytes()], 1);
  unmap_memory(pages.address, count * page_bytes());
}

TEST_F(system_call_test, a_batch_reports_the_kernels_error) {
  const mapping_result pages = map_pages(2);
  ASSERT_EQ(pages.error, 0);
  auto* const bytes = static_cast<char*>(pages.address);
  const iovec ranges[2] = {{bytes, page_bytes()}, {bytes + 1, page_bytes()}};
  const batch_result result = advise_batch(ranges, 2, MADV_DONTNEED);
  EXPECT_EQ(result.done, 1U);
  EXPECT_EQ(result.error, EINVAL);
  unmap_memory(pages.address, 2 * page_bytes());
}

TEST_F(system_call_test, reads_the_text_of_the_environment) {
  EXPECT_TRUE(set_faults("mmap:2,madvise:1+:EINVAL"));
  const mapping_result first = map_pages(1);
  ASSERT_EQ(first.error, 0);
  EXPECT_EQ(map_pages(1).error, ENOMEM);
  EXPECT_EQ(advise_memory(first.address, page_bytes(), MADV_DONTNEED), EINVAL);
  EXPECT_EQ(advise_memory(first.address, page_bytes(), MADV_DONTNEED), EINVAL);
  unmap_memory(first.address, page_bytes());
}

TEST_F(system_call_test, says_that_the_text_is_malformed) {
  for (const char* text : {"banana", "mmap", "mmap:", "mmap:x", "mmap:1:EWHAT", "mmap:1;"}) {
    testing::internal::CaptureStderr();
    EXPECT_FALSE(set_faults(text)) << text;
    EXPECT_NE(testing::internal::GetCapturedStderr().find("TREADLE_FAULT"), std::string::npos);
  }
}

}  // namespace
}  // namespace treadle::base
