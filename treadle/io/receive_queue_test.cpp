// What io_uring receives before anybody asks: more than there are buffers for, ends, looks, and a
// child's view of it.
#include "treadle/io/receive_queue.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <treadle/io.hpp>
#include <treadle/runtime.hpp>
#include <treadle/thread.hpp>
#include <utility>
#include <vector>

#include "treadle/io/uring_poller.hpp"

namespace treadle::io {
namespace {

[[gnu::noinline]] int last_error() { return errno; }

struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe(ends), 0); }
  ~pipe_pair() {
    io::close(ends[0]);
    io::close(ends[1]);
  }
  int ends[2];
};

struct socket_pair {
  socket_pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); }
  ~socket_pair() {
    drop(0);
    drop(1);
  }
  void drop(int which) {
    if (ends[which] >= 0) io::close(std::exchange(ends[which], -1));
  }
  void become_tcp() {
    drop(0);
    drop(1);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    const int door = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(door, any, bytes), 0);
    EXPECT_EQ(::listen(door, 1), 0);
    EXPECT_EQ(::getsockname(door, any, &bytes), 0);
    ends[1] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(ends[1], any, bytes), 0);
    ends[0] = ::accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(ends[0], 0);
    ::close(door);
  }
  int ends[2];
};

class ReceiveQueue : public ::testing::Test {
 protected:
  void SetUp() override {
    uring_poller probe(ring_owner::whoever_polls);
    if (const int error = probe.open()) {
      GTEST_SKIP() << "the kernel refuses io_uring: " << std::strerror(error);
    }
  }
};

// Buffers of no reader: others are served all the same, and nothing is lost or out of order.
TEST_F(ReceiveQueue, MoreIsSentThanThereAreBuffers) {
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    runtime_options options;
    options.model = kind;
    options.socket_events = socket_events::uring;
    runtime with(options);
    with.run([&] {
      constexpr int pairs = 64;
      static constexpr int bytes = 100'000;
      std::vector<socket_pair> all(pairs);
      std::vector<thread> threads;
      for (socket_pair& each : all) {
        EXPECT_EQ(io::receive_ahead(each.ends[0]), 0);
        threads.emplace_back([&each] {
          std::string sent(bytes, '\0');
          for (std::size_t i = 0; i < bytes; ++i) sent[i] = static_cast<char>(i % 251);
          EXPECT_EQ(io::write(each.ends[1], sent.data(), sent.size()), bytes);
          each.drop(1);
        });
        threads.emplace_back([&each, slow = &each - all.data()] {
          std::array<char, 701> some;
          int at = 0;
          bool right = true;
          while (true) {
            // All arm the ring, and some then leave it alone for a while.
            if (at == 0) {
              EXPECT_EQ(io::wait_readable(each.ends[0]), 0);
            }
            for (int k = 0; slow % 4 == 0 && k < 50; ++k) this_thread::yield();
            const ssize_t count = io::read(each.ends[0], some.data(), some.size());
            if (count <= 0) break;
            for (ssize_t i = 0; i < count; ++i, ++at) {
              right = right && some[static_cast<std::size_t>(i)] == static_cast<char>(at % 251);
            }
          }
          EXPECT_EQ(at, bytes);
          EXPECT_TRUE(right);
        });
      }
      for (thread& each : threads) each.join();
    });
  }
}

// What was received and not yet read outlives its runtime, is peeked at, polled for, and read in
// parts.
TEST_F(ReceiveQueue, WhatWasReceivedIsSeenByEveryCall) {
  socket_pair pair;
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    runtime_options options;
    options.model = kind;
    options.socket_events = socket_events::uring;
    runtime with(options);
    with.run([&] {
      const int to = pair.ends[1];
      const int from = pair.ends[0];
      EXPECT_EQ(io::receive_ahead(from), 0);
      std::array<char, 16> got{};
      EXPECT_EQ(io::read(from, got.data(), 1, std::chrono::milliseconds(1)), -1);
      EXPECT_EQ(last_error(), ETIMEDOUT);
      thread waits([&] { EXPECT_EQ(io::wait_readable(from), 0); });
      this_thread::yield();
      EXPECT_EQ(io::write(to, "abcdef", 6), 6);
      waits.join();
      EXPECT_EQ(io::poll(from, POLLIN), POLLIN);
      EXPECT_EQ(io::recv(from, got.data(), 4, MSG_PEEK), 4);
      EXPECT_EQ(std::string(got.data(), 4), "abcd");
      EXPECT_EQ(io::recv(from, got.data(), 2, MSG_DONTWAIT), 2);
      EXPECT_EQ(std::string(got.data(), 2), "ab");
      iovec parts[2] = {{got.data(), 1}, {got.data() + 1, 8}};
      EXPECT_EQ(io::readv(from, parts, 2), 4);
      EXPECT_EQ(std::string(got.data(), 4), "cdef");
      EXPECT_EQ(io::recv(from, got.data(), 2, MSG_DONTWAIT), -1);
      EXPECT_EQ(last_error(), EAGAIN);
      EXPECT_EQ(io::poll(from, POLLIN, std::chrono::milliseconds(1)), 0);
      thread again([&] { EXPECT_EQ(io::wait_readable(from), 0); });
      this_thread::yield();
      EXPECT_EQ(io::write(to, "0123456789", 10), 10);
      again.join();
      pipe_pair pipe;
      EXPECT_EQ(io::splice(from, nullptr, pipe.ends[1], nullptr, 3, 0), 3);
      EXPECT_EQ(::read(pipe.ends[0], got.data(), 8), 3);
      EXPECT_EQ(std::string(got.data(), 3), "012");
    });
    // The rest is read by the next runtime.
    runtime other(options);
    other.run([&] {
      std::array<char, 16> got{};
      std::size_t count = 0;
      while (count < 7) {
        const ssize_t some = io::read(pair.ends[0], got.data() + count, got.size() - count);
        ASSERT_GT(some, 0);
        count += static_cast<std::size_t>(some);
      }
      EXPECT_EQ(std::string(got.data(), 7), "3456789");
    });
  }
}

// The kernel's multishot receive may miss an end that comes with the last bytes.
TEST_F(ReceiveQueue, AnEndThatComesWithTheLastBytesIsSeen) {
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    runtime_options options;
    options.model = kind;
    options.socket_events = socket_events::uring;
    runtime with(options);
    with.run([&] {
      for (int i = 0; i < 200; ++i) {
        const bool tcp = i % 2 == 1;
        const bool reset = i % 4 == 1;
        socket_pair pair;
        if (tcp) pair.become_tcp();
        EXPECT_EQ(io::receive_ahead(pair.ends[0]), 0);
        thread reader([&] {
          std::array<char, 64> got{};
          ssize_t all = 0;
          ssize_t count = 0;
          while ((count = io::read(pair.ends[0], got.data(), got.size())) > 0) all += count;
          EXPECT_EQ(count, reset ? -1 : 0);
          EXPECT_TRUE(reset || all == 100) << all;
        });
        // Some have the ring receive before, and some only after, all is there.
        for (int k = 0; k < i % 3; ++k) this_thread::yield();
        const std::string sent(100, 'e');
        EXPECT_EQ(::write(pair.ends[1], sent.data(), sent.size()), 100);
        if (reset) {
          const linger at_once{1, 0};
          ::setsockopt(pair.ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        }
        if (i % 8 < 4) {
          pair.drop(1);
        } else if (reset) {
          ::close(std::exchange(pair.ends[1], -1));
        } else {
          ::shutdown(pair.ends[1], SHUT_WR);
        }
        reader.join();
      }
    });
  }
}

// Whoever only looks sees what the ring has taken out of the socket, but not yet told.
TEST_F(ReceiveQueue, ALookSeesWhatTheRingHasTaken) {
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    runtime_options options;
    options.model = kind;
    options.socket_events = socket_events::uring;
    runtime with(options);
    with.run([&] {
      socket_pair pair;
      const int from = pair.ends[0];
      EXPECT_EQ(io::receive_ahead(from), 0);
      for (int i = 0; i < 300; ++i) {
        char byte = 0;
        // A reader that waits has the ring receive, and it goes on to do so.
        thread reader([&] { EXPECT_EQ(io::read(from, &byte, 1), 1); });
        for (int k = 0; k < i % 3; ++k) this_thread::yield();
        EXPECT_EQ(::write(pair.ends[1], "a", 1), 1);
        reader.join();
        EXPECT_EQ(::write(pair.ends[1], "b", 1), 1);
        for (int k = 0; k < i % 5; ++k) this_thread::yield();
        if (i % 2 == 0) {
          EXPECT_EQ(io::poll(from, POLLIN, std::chrono::milliseconds(0)), POLLIN);
        } else {
          EXPECT_EQ(io::wait_readable(from, std::chrono::milliseconds(0)), 0);
        }
        EXPECT_EQ(io::read(from, &byte, 1), 1);
        EXPECT_EQ(io::poll(from, POLLIN, std::chrono::milliseconds(0)), 0);
      }
    });
  }
}

// Each look has the receive taken back, and waits until that is answered: also several at once,
// beside a reader that has it begin anew.
TEST_F(ReceiveQueue, SeveralLookAtOnce) {
  runtime_options options;
  options.model = model::many_to_many;
  options.width = 2;
  options.socket_events = socket_events::uring;
  runtime with(options);
  with.run([&] {
    constexpr int lookers = 4;
    constexpr int sent = 500;
    socket_pair pair;
    EXPECT_EQ(io::receive_ahead(pair.ends[0]), 0);
    std::atomic<int> got{0};
    std::vector<thread> threads;
    for (int i = 0; i < lookers; ++i) {
      threads.emplace_back([&] {
        char byte = 0;
        while (true) {
          const ssize_t count = io::recv(pair.ends[0], &byte, 1, MSG_DONTWAIT);
          if (count == 0) break;
          if (count == 1) ++got;
          this_thread::yield();
        }
      });
    }
    threads.emplace_back([&] {
      char byte = 0;
      while (io::read(pair.ends[0], &byte, 1) == 1) ++got;
    });
    for (int i = 0; i < sent; ++i) {
      EXPECT_EQ(io::write(pair.ends[1], "x", 1), 1);
      if (i % 7 == 0) this_thread::yield();
    }
    pair.drop(1);
    for (thread& each : threads) each.join();
    EXPECT_EQ(got.load(), sent);
  });
}

// The ring of m:n has a kernel thread of its own, which the child has not: whatever that did at the
// moment of the fork, the child can close.
TEST_F(ReceiveQueue, AChildCanCloseWhatItsParentsRingReceivesFrom) {
  runtime_options options;
  options.model = model::many_to_many;
  options.width = 1;
  options.socket_events = socket_events::uring;
  runtime with(options);
  with.run([&] {
    constexpr int pairs = 16;
    std::vector<socket_pair> all(pairs);
    std::vector<thread> readers;
    for (socket_pair& each : all) {
      EXPECT_EQ(io::receive_ahead(each.ends[0]), 0);
      readers.emplace_back([from = each.ends[0]] {
        std::array<char, 64> got{};
        while (io::read(from, got.data(), got.size()) > 0) {
        }
      });
    }
    std::atomic<bool> enough{false};
    std::thread sender([&] {
      while (!enough.load()) {
        for (const socket_pair& each : all) {
          static_cast<void>(::send(each.ends[1], "x", 1, MSG_DONTWAIT));
        }
      }
    });
    for (int i = 0; i < 50; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        for (const socket_pair& each : all) io::close(each.ends[0]);
        ::_exit(0);
      }
      int status = -1;
      EXPECT_EQ(io::waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    enough = true;
    sender.join();
    for (socket_pair& each : all) each.drop(1);
    for (thread& each : readers) each.join();
  });
}

}  // namespace
}  // namespace treadle::io
