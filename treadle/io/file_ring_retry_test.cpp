// io_uring for files when there was no descriptor left for it at first: it is tried again, but not
// at every call. In a program of its own, as the ring is the process's.
#include <gtest/gtest.h>
#include <sched.h>

#include <cerrno>
#include <chrono>

#include "treadle/base/system_call.hpp"
#include "treadle/io/file_ring.hpp"

namespace treadle::io {
namespace {

TEST(FileRingRetry, ALackOfDescriptorsIsNotForEver) {
  using clock = std::chrono::steady_clock;
  base::fail_from(base::faulty_call::io_uring_setup, 1, EMFILE);
  const clock::time_point begin = clock::now();
  for (int i = 0; i < 10'000; ++i) EXPECT_FALSE(file_ring::usable());
  EXPECT_EQ(file_ring::refusal(), EMFILE);
  const auto tenths = (clock::now() - begin) / std::chrono::milliseconds(100);
  EXPECT_LE(base::calls_made(base::faulty_call::io_uring_setup),
            1 + static_cast<std::uint64_t>(tenths));
  base::fail_nth(base::faulty_call::io_uring_setup, 0, 0);
  while (!file_ring::usable()) {
    if (file_ring::refusal() != EMFILE) GTEST_SKIP() << "the kernel refuses io_uring";
    ::sched_yield();
  }
  EXPECT_EQ(file_ring::refusal(), 0);
}

}  // namespace
}  // namespace treadle::io
