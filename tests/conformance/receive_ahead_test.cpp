// Sockets of which nobody else reads, in every model: small reads take more than they were asked
// for, and whoever looks or waits for what is left finds it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <treadle/io.hpp>
#include <treadle/select.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class ReceiveAhead : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ReceiveAhead, every_model, model_names);

struct tcp_pair {
  tcp_pair() {
    io::listener door = io::listener::open("127.0.0.1", 0);
    peer = io::socket::connect("127.0.0.1", door.port());
    reader = door.accept();
    reader.receive_ahead();
  }
  void send(std::string_view text) {
    EXPECT_EQ(io::write(peer.descriptor(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  // Of a read for so many.
  std::string read(std::size_t bytes) {
    std::string got(bytes, '?');
    const ssize_t count = io::read(reader.descriptor(), got.data(), bytes);
    got.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return got;
  }
  // The first read that is full shows that the reads are small: the next ones take more.
  void show_small_reads() {
    send("ab");
    EXPECT_EQ(read(2), "ab");
  }
  io::socket peer;
  io::socket reader;
};

char expected(std::size_t at) { return static_cast<char>('a' + at % 23); }

TYPED_TEST(ReceiveAhead, KeepsTheOrderForReadsOfAnySize) {
  this->in([] {
    tcp_pair pair;
    const std::size_t total = scaled(400'000);
    thread writer([&] {
      std::string all(total, '?');
      for (std::size_t i = 0; i < total; ++i) all[i] = expected(i);
      for (std::size_t at = 0, step = 1; at < total; step = step * 7 % 4099 + 1) {
        const std::size_t bytes = std::min(step, total - at);
        pair.send({all.data() + at, bytes});
        at += bytes;
      }
      pair.peer.close();
    });
    std::size_t at = 0;
    bool right = true;
    for (std::size_t wanted = 1;; wanted = wanted * 5 % 1531 + 1) {
      const std::string got = pair.read(wanted);
      if (got.empty()) break;
      for (const char one : got) right = right && one == expected(at++);
    }
    EXPECT_TRUE(right);
    EXPECT_EQ(at, total);
    writer.join();
  });
}

// Both wait before the bytes of both come, in one piece: who reads first must tell the other.
TYPED_TEST(ReceiveAhead, WhatOneReaderLeavesAnotherGets) {
  this->in([] {
    tcp_pair pair;
    pair.show_small_reads();
    for (std::size_t turn = 0; turn < scaled(500); ++turn) {
      std::array<std::string, 3> got;
      std::vector<thread> readers;
      for (std::string& one : got) readers.emplace_back([&] { one = pair.read(4); });
      if (turn % 2 == 0) {
        for (int i = 0; i < 20; ++i) this_thread::yield();
      }
      pair.send("123412341234");
      for (thread& each : readers) each.join();
      for (const std::string& one : got) EXPECT_EQ(one, "1234");
    }
  });
}

TYPED_TEST(ReceiveAhead, WhatIsLeftCountsForWhoLooksAndWaits) {
  this->in([] {
    tcp_pair pair;
    pair.show_small_reads();
    pair.send("0123456789");
    EXPECT_EQ(pair.read(1), "0");
    const int number = pair.reader.descriptor();
    const wait_limit at_once(std::chrono::steady_clock::now());
    EXPECT_EQ(io::poll(number, POLLIN, at_once), POLLIN);
    EXPECT_EQ(io::wait_readable(number, at_once), 0);
    bool was_readable = false;
    select(on_readable(number, [&] { was_readable = true; }));
    EXPECT_TRUE(was_readable);
    std::array<char, 4> peeked{};
    EXPECT_EQ(io::recv(number, peeked.data(), peeked.size(), MSG_PEEK), 4);
    EXPECT_EQ(std::string(peeked.data(), 4), "1234");
    char one = 0;
    EXPECT_EQ(io::read(number, &one, 1, at_once), 1);
    EXPECT_EQ(one, '1');
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(io::splice(number, nullptr, ends[1], nullptr, 3, 0), 3);
    std::array<char, 3> moved{};
    EXPECT_EQ(io::read(ends[0], moved.data(), moved.size()), 3);
    EXPECT_EQ(std::string(moved.data(), 3), "234");
    for (const int end : ends) io::close(end);
    EXPECT_EQ(pair.read(100), "56789");
    // And nothing more is there.
    EXPECT_EQ(io::read(number, &one, 1, at_once), -1);
  });
}

TYPED_TEST(ReceiveAhead, TheEndComesAfterWhatIsLeft) {
  this->in([] {
    tcp_pair pair;
    pair.show_small_reads();
    pair.send("xyz");
    pair.peer.close();
    EXPECT_EQ(pair.read(1), "x");
    EXPECT_EQ(pair.read(1), "y");
    EXPECT_EQ(pair.read(9), "z");
    EXPECT_EQ(pair.read(9), "");
  });
}

// What is left goes with the descriptor, and the number's next one has nothing of it.
TYPED_TEST(ReceiveAhead, IsForgottenAtClose) {
  this->in([] {
    for (int turn = 0; turn < 20; ++turn) {
      tcp_pair pair;
      pair.show_small_reads();
      pair.send("left");
      EXPECT_EQ(pair.read(1), "l");
      pair.reader.close();
      tcp_pair other;
      other.send("new");
      EXPECT_EQ(other.read(8), "new");
    }
  });
}

}  // namespace
}  // namespace treadle
