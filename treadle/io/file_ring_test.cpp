// io_uring for files by itself: what it answers, what it takes back, and more than it has room for.
#include "treadle/io/file_ring.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

namespace treadle::io {
namespace {

using namespace std::chrono_literals;
using kind = file_request::kind;

void eventually(const std::function<bool()>& condition) {
  while (!condition()) ::sched_yield();
}

struct pipe_ends {
  pipe_ends() { EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0); }
  ~pipe_ends() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void put() const { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
  std::array<int, 2> ends{};
};

class FileRing : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ring::choose(file_calls::uring);
    if (!file_ring::usable()) GTEST_SKIP() << "the kernel refuses io_uring";
  }
  static file_ring::outcome read(int fd, char* byte, const wait_limit& limit) {
    const iovec part{byte, 1};
    return file_ring::perform({.what = kind::read, .fd = fd, .parts = &part, .count = 1}, limit);
  }
};

TEST_F(FileRing, AnswersAsTheCallWould) {
  EXPECT_EQ(file_ring::refusal(), 0);
  char byte = 0;
  EXPECT_EQ(read(-1, &byte, {}).result, -EBADF);
  EXPECT_EQ(file_ring::perform({.what = kind::fsync, .fd = -1}, {}).result, -EBADF);
  const pipe_ends pipe;
  pipe.put();
  EXPECT_EQ(read(pipe.ends[0], &byte, {}).result, 1);
  EXPECT_EQ(byte, 'x');
  file_request opening{.what = kind::open};
  opening.path = "/no/such/file";
  EXPECT_EQ(file_ring::perform(opening, {}).result, -ENOENT);
  opening.path = "/dev/null";
  opening.flags = O_WRONLY | O_CLOEXEC;
  const file_ring::outcome opened = file_ring::perform(opening, {});
  ASSERT_GE(opened.result, 0);
  EXPECT_EQ(::fcntl(static_cast<int>(opened.result), F_GETFD), FD_CLOEXEC);
  ::close(static_cast<int>(opened.result));
}

TEST_F(FileRing, TakesBackAtTheDeadlineAndAtAStop) {
  const pipe_ends pipe;
  char byte = '?';
  EXPECT_EQ(read(pipe.ends[0], &byte, 2ms).how, wait_end::timed_out);
  EXPECT_EQ(read(pipe.ends[0], &byte, 0ms).how, wait_end::timed_out);
  std::stop_source source;
  std::thread stopper([&] { source.request_stop(); });
  EXPECT_EQ(read(pipe.ends[0], &byte, source.get_token()).how, wait_end::stopped);
  stopper.join();
  // The byte that comes now is for nobody but the next reader.
  pipe.put();
  EXPECT_EQ(byte, '?');
  EXPECT_EQ(read(pipe.ends[0], &byte, 1h).result, 1);
  EXPECT_EQ(byte, 'x');
}

// Deadlines and stops at every distance from the data's arrival: no byte is lost, none comes twice,
// and a buffer that was given back is left alone.
TEST_F(FileRing, OfCompletionAndCancellationExactlyOneWins) {
  const pipe_ends pipe;
  constexpr int rounds = 3000;
  std::atomic<int> sent{0};
  std::atomic<int> wanted{0};
  std::thread writer([&] {
    for (int i = 0; i < rounds; ++i) {
      eventually([&] { return wanted > i; });
      for (int k = 0; k < i % 7; ++k) ::sched_yield();
      pipe.put();
      sent.fetch_add(1);
    }
  });
  int got = 0;
  int early = 0;
  for (int i = 0; i < rounds; ++i) {
    wanted = i + 1;
    char byte = '?';
    std::stop_source source;
    std::thread stopper;
    wait_limit limit = std::chrono::microseconds(i * 3 % 100);
    if (i % 4 == 0) {
      limit = wait_limit(source.get_token());
      stopper = std::thread([&] { source.request_stop(); });
    }
    const file_ring::outcome seen = read(pipe.ends[0], &byte, limit);
    if (stopper.joinable()) stopper.join();
    const char then = byte;
    if (seen.how == wait_end::done) {
      ASSERT_EQ(seen.result, 1);
      EXPECT_EQ(then, 'x');
      ++got;
    } else {
      ++early;
      EXPECT_EQ(then, '?');
      eventually([&] { return sent == i + 1; });
      EXPECT_EQ(byte, then);
    }
  }
  writer.join();
  EXPECT_EQ(got + early, rounds);
  ::fcntl(pipe.ends[0], F_SETFL, O_NONBLOCK);
  int left = 0;
  for (char byte; ::read(pipe.ends[0], &byte, 1) == 1;) ++left;
  EXPECT_EQ(got + left, rounds);
  RecordProperty("early", early);
}

// More than may be in flight: those that wait in line are served, and can be taken back as well.
TEST_F(FileRing, MoreRequestsThanItHasRoomFor) {
  const pipe_ends pipe;
  constexpr int count = 400;
  std::atomic<int> got{0};
  std::atomic<int> stopped{0};
  std::stop_source source;
  std::vector<std::thread> readers;
  for (int i = 0; i < count; ++i) {
    readers.emplace_back([&, i] {
      char byte = 0;
      const wait_limit limit = i % 2 == 0 ? wait_limit(source.get_token()) : wait_limit();
      const file_ring::outcome seen = read(pipe.ends[0], &byte, limit);
      (seen.how == wait_end::done ? got : stopped).fetch_add(1);
    });
  }
  source.request_stop();
  eventually([&] { return stopped == count / 2; });
  for (int i = 0; i < count / 2; ++i) pipe.put();
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(got, count / 2);
}

}  // namespace
}  // namespace treadle::io
