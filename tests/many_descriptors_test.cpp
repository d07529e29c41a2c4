// Twenty thousand descriptors at once, and what an idle one costs.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <treadle/treadle.hpp>
#include <vector>

namespace treadle {
namespace {

constexpr int descriptors = 20'000;

// More descriptors for the process; false when the system refuses.
bool allow_descriptors() {
  const rlimit wanted{descriptors + 200, descriptors + 200};
  return ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
}

std::size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long all = 0;
  unsigned long resident = 0;
  EXPECT_EQ(std::fscanf(file, "%lu %lu", &all, &resident), 2);
  std::fclose(file);
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// A thread waits for each pair's one end, is woken, and answers; three times.
void wait_on_all(model kind, unsigned width) {
  runtime_options options;
  options.model = kind;
  if (kind == model::many_to_many) options.width = width;
  runtime with(options);
  with.run([] {
    constexpr int pairs = descriptors / 2;
    std::vector<int> ends(2 * pairs);
    for (int i = 0; i < pairs; ++i) {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &ends[2 * i]), 0) << i;
    }
    const std::size_t before = resident_bytes();
    std::atomic<int> waiting{0};
    std::vector<thread> all;
    all.reserve(pairs);
    for (int i = 0; i < pairs; ++i) {
      all.emplace_back([&waiting, mine = ends[2 * i]] {
        char byte = 0;
        for (;;) {
          ++waiting;
          const ssize_t count = io::read(mine, &byte, 1);
          --waiting;
          if (count == 0) break;
          ASSERT_EQ(count, 1);
          ASSERT_EQ(io::write(mine, &byte, 1), 1);
        }
      });
    }
    char byte = 'x';
    for (int round = 0; round < 3; ++round) {
      while (waiting.load() != pairs) this_thread::yield();
      for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::write(ends[2 * i + 1], &byte, 1), 1);
      for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::read(ends[2 * i + 1], &byte, 1), 1);
    }
    while (waiting.load() != pairs) this_thread::yield();
#if !defined(TREADLE_SANITIZED)
    const std::size_t each = (resident_bytes() - before) / pairs;
    std::printf("an idle connection: %zu bytes\n", each);
    EXPECT_LE(each, 6U * 1024);
#else
    static_cast<void>(before);
#endif
    for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::close(ends[2 * i + 1]), 0);
    for (thread& one : all) one.join();
    for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::close(ends[2 * i]), 0);
  });
}

TEST(many_descriptors, in_many_to_one) {
  if (!allow_descriptors()) GTEST_SKIP() << "20,000 descriptors are refused here";
  wait_on_all(model::many_to_one, 1);
}

TEST(many_descriptors, in_many_to_many) {
  if (!allow_descriptors()) GTEST_SKIP() << "20,000 descriptors are refused here";
  for (const unsigned width : {1U, 2U, 4U}) wait_on_all(model::many_to_many, width);
}

}  // namespace
}  // namespace treadle
