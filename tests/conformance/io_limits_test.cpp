// What ends the waits of treadle/io.hpp, under every model: deadlines, stops, a close by another.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <stop_token>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/descriptor_pairs.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::pipe_pair;
using testing_support::scaled;
using testing_support::socket_pair;

template <class Configuration>
class io_limits : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(io_limits, testing_support::every_model, testing_support::model_names);

// errno, read in a function of its own: the thread may have moved.
[[gnu::noinline]] int last_error() { return errno; }

TYPED_TEST(io_limits, deadline_that_has_passed_only_looks) {
  this->in([] {
    socket_pair pair;
    char got = 0;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(io::read(pair.ends[0], &got, 1, 0ms), -1);
      EXPECT_EQ(last_error(), ETIMEDOUT);
      EXPECT_EQ(io::read(pair.ends[0], &got, 1, -5s), -1);
      EXPECT_EQ(last_error(), ETIMEDOUT);
      EXPECT_EQ(io::read(pair.ends[0], &got, 1, std::chrono::steady_clock::now() - 1h), -1);
      EXPECT_EQ(last_error(), ETIMEDOUT);
      // What is there is taken, whatever the poller knows of it.
      EXPECT_EQ(io::write(pair.ends[1], "x", 1, 0ms), 1);
      EXPECT_EQ(io::read(pair.ends[0], &got, 1, 0ms), 1);
    }
  });
}

TYPED_TEST(io_limits, deadline_ends_a_wait) {
  this->in([] {
    socket_pair pair;
    pipe_pair pipe;
    char got = 0;
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(io::read(pair.ends[0], &got, 1, 3ms), -1);
    EXPECT_EQ(last_error(), ETIMEDOUT);
    EXPECT_EQ(io::read(pipe.reader(), &got, 1, 3ms), -1);
    EXPECT_EQ(last_error(), ETIMEDOUT);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 6ms);
    // Infinite spans do not overflow.
    thread writer([&] { EXPECT_EQ(io::write(pair.ends[1], "y", 1), 1); });
    EXPECT_EQ(io::read(pair.ends[0], &got, 1, std::chrono::hours::max()), 1);
    writer.join();
  });
}

TYPED_TEST(io_limits, stop_ends_a_wait_and_is_seen_before_data) {
  this->in([] {
    socket_pair pair;
    std::stop_source source;
    std::atomic<int> ended{0};
    thread reader([&] {
      char got = 0;
      EXPECT_EQ(io::read(pair.ends[0], &got, 1, source.get_token()), -1);
      EXPECT_EQ(last_error(), ECANCELED);
      ended = 1;
    });
    for (int i = 0; i < 10; ++i) this_thread::yield();
    EXPECT_EQ(ended.load(), 0);
    source.request_stop();
    reader.join();
    EXPECT_EQ(io::write(pair.ends[1], "x", 1), 1);
    char got = 0;
    EXPECT_EQ(io::read(pair.ends[0], &got, 1, source.get_token()), -1);
    EXPECT_EQ(last_error(), ECANCELED);
    EXPECT_EQ(io::read(pair.ends[0], &got, 1), 1);
  });
}

// Exactly one of the byte and the stop is reported, and a byte that was not is still there.
TYPED_TEST(io_limits, stop_against_completion_has_one_winner) {
  this->in([] {
    socket_pair pair;
    const std::size_t rounds = scaled(4000, TestFixture::own_kernel_threads);
    for (std::size_t round = 0; round < rounds; ++round) {
      std::stop_source source;
      std::atomic<bool> go{false};
      thread stopper([&] {
        eventually([&] { return go.load(); });
        source.request_stop();
      });
      thread writer([&] {
        eventually([&] { return go.load(); });
        EXPECT_EQ(io::write(pair.ends[1], "x", 1), 1);
      });
      go = round % 2 == 0;
      thread late([&] { go = true; });
      char got = 0;
      const ssize_t result = io::read(pair.ends[0], &got, 1, source.get_token());
      const int error = last_error();
      stopper.join();
      writer.join();
      late.join();
      if (result == 1) {
        ASSERT_EQ(got, 'x');
      } else {
        ASSERT_EQ(result, -1);
        ASSERT_EQ(error, ECANCELED);
        ASSERT_EQ(io::read(pair.ends[0], &got, 1), 1);
      }
      ASSERT_EQ(io::read(pair.ends[0], &got, 1, 0ms), -1);
    }
  });
}

TYPED_TEST(io_limits, close_ends_the_waits_of_others) {
  this->in([] {
    for (int round = 0; round < 50; ++round) {
      // Lower than the socket's: a descriptor that the runtime has for a moment gets this number.
      const int hole = ::dup(STDIN_FILENO);
      auto pair = std::make_unique<socket_pair>();
      ::close(hole);
      std::atomic<int> started{0};
      std::vector<thread> waiting;
      for (int i = 0; i < 20; ++i) {
        waiting.emplace_back([&] {
          char got = 0;
          ++started;
          EXPECT_EQ(io::read(pair->ends[0], &got, 1), -1);
          EXPECT_EQ(last_error(), EBADF);
        });
      }
      // Half of the rounds close while threads are on their way into the wait.
      eventually([&] { return started.load() == 20; });
      if (round % 2 == 0) {
        for (int i = 0; i < 10; ++i) this_thread::yield();
      }
      EXPECT_EQ(io::close(pair->ends[0]), 0);
      for (thread& one : waiting) one.join();
      pair->ends[0] = -1;
    }
  });
}

TYPED_TEST(io_limits, number_of_a_closed_descriptor_is_used_again) {
  this->in([] {
    for (int round = 0; round < 100; ++round) {
      // Alternately a pipe and a socket, so that what was learned would be wrong.
      char got = 0;
      if (round % 2 == 0) {
        pipe_pair pipe;
        EXPECT_EQ(io::read(pipe.reader(), &got, 1, 0ms), -1);
        EXPECT_EQ(last_error(), ETIMEDOUT);
        thread reader([&] { EXPECT_EQ(io::read(pipe.reader(), &got, 1), 1); });
        this_thread::yield();
        EXPECT_EQ(io::write(pipe.writer(), "x", 1), 1);
        reader.join();
      } else {
        socket_pair pair;
        EXPECT_EQ(io::read(pair.ends[0], &got, 1, 0ms), -1);
        EXPECT_EQ(last_error(), ETIMEDOUT);
        thread reader([&] { EXPECT_EQ(io::read(pair.ends[0], &got, 1), 1); });
        this_thread::yield();
        EXPECT_EQ(io::write(pair.ends[1], "x", 1), 1);
        reader.join();
      }
    }
  });
}

}  // namespace
}  // namespace treadle
