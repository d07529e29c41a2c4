// Who waits for descriptors, under every model: for several, several threads for one, and beside a
// thread that computes.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stop_token>
#include <string>
#include <thread>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/descriptor_pairs.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::pipe_pair;
using testing_support::scaled;
using testing_support::socket_pair;

template <class Configuration>
class io_readiness : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(io_readiness, testing_support::every_model, testing_support::model_names);

// errno, read in a function of its own: the thread may have moved.
[[gnu::noinline]] int last_error() { return errno; }

TYPED_TEST(io_readiness, poll_tells_which_of_several_is_ready) {
  this->in([] {
    constexpr int pairs = 8;
    socket_pair all[pairs];
    pollfd asked[pairs + 1];
    for (int i = 0; i < pairs; ++i) asked[i] = {all[i].ends[0], POLLIN, 0};
    asked[pairs] = {-1, POLLIN, 7};
    EXPECT_EQ(io::poll(asked, pairs + 1, 1ms), 0);
    EXPECT_EQ(asked[pairs].revents, 0);
    for (int round = 0; round < 40; ++round) {
      const int chosen = round % pairs;
      thread writer([&] { EXPECT_EQ(io::write(all[chosen].ends[1], "x", 1), 1); });
      EXPECT_EQ(io::poll(asked, pairs + 1), 1);
      for (int i = 0; i < pairs; ++i) EXPECT_EQ(asked[i].revents, i == chosen ? POLLIN : 0);
      writer.join();
      char byte = 0;
      EXPECT_EQ(io::read(all[chosen].ends[0], &byte, 1), 1);
    }
    EXPECT_EQ(io::poll(all[0].ends[0], POLLIN | POLLOUT), POLLOUT);
    EXPECT_EQ(io::poll(9999, POLLIN), POLLNVAL);
  });
}

TYPED_TEST(io_readiness, poll_sees_a_close_and_a_stop) {
  this->in([] {
    {
      // Now the runtime has what it polls with: else that could get a number that is closed below.
      socket_pair first;
      EXPECT_EQ(io::poll(first.ends[0], POLLIN, 1ms), 0);
    }
    for (int round = 0; round < 20; ++round) {
      socket_pair pairs[6];
      pollfd asked[6];
      for (int i = 0; i < 6; ++i) asked[i] = {pairs[i].ends[0], POLLIN, 0};
      std::stop_source source;
      thread waiting([&] {
        EXPECT_EQ(io::poll(asked, 6), 1);
        EXPECT_EQ(asked[3].revents, POLLNVAL);
        pollfd one{pairs[0].ends[0], POLLIN, 0};
        EXPECT_EQ(io::poll(&one, 1, source.get_token()), -1);
        EXPECT_EQ(last_error(), ECANCELED);
      });
      for (int i = 0; i < round; ++i) this_thread::yield();
      pairs[3].drop(0);
      for (int i = 0; i < round; ++i) this_thread::yield();
      source.request_stop();
      waiting.join();
    }
  });
}

TYPED_TEST(io_readiness, readers_and_writers_wait_on_one_descriptor) {
  this->in([] {
    socket_pair pair;
    constexpr int threads = 8;
    const std::size_t each = scaled(20'000, TestFixture::own_kernel_threads);
    std::atomic<std::size_t> got{0};
    std::vector<thread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        const std::string bytes(97, 'b');
        for (std::size_t sent = 0; sent < each; sent += bytes.size()) {
          EXPECT_EQ(io::write(pair.ends[1], bytes.data(), bytes.size()), 97);
        }
      });
      all.emplace_back([&] {
        char bytes[53];
        for (;;) {
          const ssize_t count = io::read(pair.ends[0], bytes, sizeof(bytes));
          ASSERT_GE(count, 0);
          if (count == 0) break;
          got += static_cast<std::size_t>(count);
        }
      });
    }
    for (int i = 0; i < threads; ++i) all[static_cast<std::size_t>(2 * i)].join();
    pair.drop(1);
    for (int i = 0; i < threads; ++i) all[static_cast<std::size_t>(2 * i + 1)].join();
    EXPECT_EQ(got.load(), threads * ((each + 96) / 97) * 97);
  });
}

TYPED_TEST(io_readiness, one_thread_that_computes_leaves_events_to_others) {
  // With one worker it gives way, with several it need not.
  this->in([] {
    pipe_pair pipe;
    std::atomic<bool> done{false};
    thread reader([&] {
      char byte = 0;
      for (int i = 0; i < 100; ++i) EXPECT_EQ(io::read(pipe.reader(), &byte, 1), 1);
      done = true;
    });
    std::thread foreign([&] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(::write(pipe.writer(), "x", 1), 1);
        std::this_thread::sleep_for(100us);
      }
    });
    const bool gives_way = TestFixture::kind == model::many_to_one || TypeParam::width == 1;
    while (!done.load()) {
      if (gives_way) this_thread::yield();
    }
    reader.join();
    foreign.join();
  });
}

}  // namespace
}  // namespace treadle
