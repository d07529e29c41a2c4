// Twenty thousand descriptors at once, or nearly,, and what an idle one costs.
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

constexpr int descriptors_wanted = 20'000;
// For all that is no end of a pair.
constexpr int others = 100;

// As many pairs as the system allows; 0 when that is far from what is wanted.
int pairs_allowed() {
  rlimit wanted{descriptors_wanted + others, descriptors_wanted + others};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
    ::getrlimit(RLIMIT_NOFILE, &wanted);
    wanted.rlim_cur = wanted.rlim_max;
    if (wanted.rlim_cur < descriptors_wanted || ::setrlimit(RLIMIT_NOFILE, &wanted) != 0) return 0;
  }
  return (static_cast<int>(wanted.rlim_cur) - others) / 2;
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
void wait_on_all(model kind, unsigned width, int pairs) {
  runtime_options options;
  options.model = kind;
  if (kind == model::many_to_many) options.width = width;
  runtime with(options);
  with.run([pairs] {
    std::vector<int> ends(2 * static_cast<std::size_t>(pairs));
    const auto end_of = [&](int pair, int side) -> int& {
      return ends[2 * static_cast<std::size_t>(pair) + static_cast<std::size_t>(side)];
    };
    for (int i = 0; i < pairs; ++i) {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &end_of(i, 0)), 0) << i;
    }
    const std::size_t before = resident_bytes();
    std::atomic<int> waiting{0};
    std::vector<thread> all;
    all.reserve(static_cast<std::size_t>(pairs));
    for (int i = 0; i < pairs; ++i) {
      all.emplace_back([&waiting, mine = end_of(i, 0)] {
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
      for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::write(end_of(i, 1), &byte, 1), 1);
      for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::read(end_of(i, 1), &byte, 1), 1);
    }
    while (waiting.load() != pairs) this_thread::yield();
#if !defined(TREADLE_SANITIZED)
    const std::size_t each = (resident_bytes() - before) / static_cast<std::size_t>(pairs);
    std::printf("an idle connection: %zu bytes\n", each);
    EXPECT_LE(each, 6U * 1024);
#else
    static_cast<void>(before);
#endif
    for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::close(end_of(i, 1)), 0);
    for (thread& one : all) one.join();
    for (int i = 0; i < pairs; ++i) ASSERT_EQ(io::close(end_of(i, 0)), 0);
  });
}

TEST(many_descriptors, in_many_to_one) {
  const int pairs = pairs_allowed();
  if (pairs == 0) GTEST_SKIP() << "20,000 descriptors are refused here";
  wait_on_all(model::many_to_one, 1, pairs);
}

TEST(many_descriptors, in_many_to_many) {
  const int pairs = pairs_allowed();
  if (pairs == 0) GTEST_SKIP() << "20,000 descriptors are refused here";
  for (const unsigned width : {1U, 2U, 4U}) wait_on_all(model::many_to_many, width, pairs);
}

}  // namespace
}  // namespace treadle
