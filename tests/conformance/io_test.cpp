// The calls of treadle/io.hpp, under every model: the same bytes, results and errors.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/receive_ahead.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::scaled;

template <class Configuration>
class io_calls : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(io_calls, testing_support::every_model, testing_support::model_names);

// errno, read in a function of its own: the thread may have moved.
[[gnu::noinline]] int last_error() { return errno; }

struct pipe_pair {
  explicit pipe_pair(int flags = 0) { EXPECT_EQ(::pipe2(ends, O_CLOEXEC | flags), 0); }
  ~pipe_pair() {
    close_reader();
    close_writer();
  }
  void close_reader() { drop(0); }
  void close_writer() { drop(1); }
  int reader() const { return ends[0]; }
  int writer() const { return ends[1]; }
  void drop(int which) {
    if (ends[which] >= 0) io::close(ends[which]);
    ends[which] = -1;
  }
  int ends[2] = {-1, -1};
};

struct socket_pair {
  explicit socket_pair(int type = SOCK_STREAM) {
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
    for (const int end : ends) testing_support::maybe_receive_ahead(end);
  }
  ~socket_pair() {
    drop(0);
    drop(1);
  }
  void drop(int which) {
    if (ends[which] >= 0) io::close(ends[which]);
    ends[which] = -1;
  }
  int ends[2] = {-1, -1};
};

TYPED_TEST(io_calls, reader_of_a_pipe_waits_for_the_writer) {
  this->in([] {
    for (const int flags : {0, O_NONBLOCK}) {
      pipe_pair pipe(flags);
      char got[8] = {};
      thread reader([&] { EXPECT_EQ(io::read(pipe.reader(), got, sizeof(got)), 5); });
      for (int i = 0; i < 10; ++i) this_thread::yield();
      EXPECT_EQ(io::write(pipe.writer(), "hello", 5), 5);
      reader.join();
      EXPECT_STREQ(got, "hello");
      pipe.close_writer();
      EXPECT_EQ(io::read(pipe.reader(), got, sizeof(got)), 0);
    }
  });
}

TYPED_TEST(io_calls, write_puts_all_through_a_pipe_that_is_full) {
  this->in([] {
    for (const int flags : {0, O_NONBLOCK}) {
      pipe_pair pipe(flags);
      const std::string sent(300'000, 'x');
      thread writer([&] {
        EXPECT_EQ(io::write(pipe.writer(), sent.data(), sent.size()),
                  static_cast<ssize_t>(sent.size()));
        pipe.close_writer();
      });
      std::size_t got = 0;
      char buffer[5000];
      for (;;) {
        const ssize_t count = io::read(pipe.reader(), buffer, sizeof(buffer));
        ASSERT_GE(count, 0);
        if (count == 0) break;
        got += static_cast<std::size_t>(count);
      }
      writer.join();
      EXPECT_EQ(got, sent.size());
    }
  });
}

TYPED_TEST(io_calls, scattered_parts_arrive_in_order) {
  this->in([] {
    for (int turn = 0; turn < 2; ++turn) {
      pipe_pair pipe;
      socket_pair sockets;
      const int from = turn == 0 ? pipe.reader() : sockets.ends[0];
      const int to = turn == 0 ? pipe.writer() : sockets.ends[1];
      constexpr int count = 40;
      std::vector<std::string> texts;
      std::vector<iovec> parts;
      std::string whole;
      for (int i = 0; i < count; ++i) {
        texts.emplace_back(20'000 + static_cast<std::size_t>(i), static_cast<char>('a' + i % 26));
      }
      for (std::string& text : texts) {
        parts.push_back({text.data(), text.size()});
        whole += text;
      }
      thread writer([&] {
        EXPECT_EQ(io::writev(to, parts.data(), count), static_cast<ssize_t>(whole.size()));
      });
      std::string got;
      std::string left(3000, '\0');
      std::string right(7000, '\0');
      while (got.size() < whole.size()) {
        const iovec into[2] = {{left.data(), left.size()}, {right.data(), right.size()}};
        const ssize_t read = io::readv(from, into, 2);
        ASSERT_GT(read, 0);
        const auto size = static_cast<std::size_t>(read);
        got += left.substr(0, size);
        if (size > left.size()) got += right.substr(0, size - left.size());
      }
      writer.join();
      EXPECT_TRUE(got == whole);
    }
  });
}

TYPED_TEST(io_calls, messages_of_a_datagram_socket_keep_their_borders) {
  this->in([] {
    socket_pair pair(SOCK_DGRAM);
    thread reader([&] {
      char got[100];
      for (ssize_t size = 1; size <= 50; ++size) {
        EXPECT_EQ(io::read(pair.ends[0], got, sizeof(got)), size);
      }
    });
    const std::string text(50, 'm');
    for (std::size_t size = 1; size <= 50; ++size) {
      EXPECT_EQ(io::write(pair.ends[1], text.data(), size), static_cast<ssize_t>(size));
    }
    reader.join();
  });
}

TYPED_TEST(io_calls, deadline_that_has_passed_only_looks) {
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

TYPED_TEST(io_calls, deadline_ends_a_wait) {
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

TYPED_TEST(io_calls, stop_ends_a_wait_and_is_seen_before_data) {
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
TYPED_TEST(io_calls, stop_against_completion_has_one_winner) {
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

TYPED_TEST(io_calls, close_ends_the_waits_of_others) {
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

TYPED_TEST(io_calls, number_of_a_closed_descriptor_is_used_again) {
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

TYPED_TEST(io_calls, descriptor_that_is_none_is_an_error) {
  this->in([] {
    char byte = 0;
    EXPECT_EQ(io::read(-1, &byte, 1), -1);
    EXPECT_EQ(last_error(), EBADF);
    EXPECT_EQ(io::read(1 << 25, &byte, 1), -1);
    EXPECT_EQ(last_error(), EBADF);
    EXPECT_EQ(io::write(9999, &byte, 1), -1);
    EXPECT_EQ(last_error(), EBADF);
    EXPECT_EQ(io::close(-1), -1);
    EXPECT_EQ(last_error(), EBADF);
    EXPECT_EQ(io::accept(9999, nullptr, nullptr), -1);
    EXPECT_EQ(last_error(), EBADF);
  });
}

TYPED_TEST(io_calls, regular_files_and_devices_are_always_ready) {
  this->in([] {
    const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char bytes[100];
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(io::read(zero, bytes, sizeof(bytes)), 100);
      EXPECT_EQ(io::read(file, bytes, sizeof(bytes)), 100);
      EXPECT_EQ(io::write(null, bytes, sizeof(bytes)), 100);
      EXPECT_EQ(io::wait_readable(file), 0);
    }
    for (const int one : {zero, null, file}) EXPECT_EQ(io::close(one), 0);
  });
}

TYPED_TEST(io_calls, eventfd_wakes_its_reader) {
  this->in([] {
    const int counter = ::eventfd(0, EFD_CLOEXEC);
    thread reader([&] {
      std::uint64_t count = 0;
      for (std::uint64_t i = 1; i <= 20; ++i) {
        EXPECT_EQ(io::read(counter, &count, sizeof(count)), 8);
        EXPECT_EQ(count, i);
      }
    });
    for (std::uint64_t i = 1; i <= 20; ++i) {
      EXPECT_EQ(io::write(counter, &i, sizeof(i)), 8);
      eventually([&] { return io::poll(counter, POLLIN, 0ms) == 0; });
    }
    reader.join();
    io::close(counter);
  });
}

TYPED_TEST(io_calls, foreign_kernel_thread_writes_to_a_pipe_that_a_thread_waits_on) {
  pipe_pair there;
  pipe_pair back;
  std::thread foreign([&] {
    char byte = 0;
    for (int i = 0; i < 300; ++i) {
      ASSERT_EQ(::write(there.writer(), "a", 1), 1);
      ASSERT_EQ(::read(back.reader(), &byte, 1), 1);
    }
  });
  this->in([&] {
    char byte = 0;
    for (int i = 0; i < 300; ++i) {
      EXPECT_EQ(io::read(there.reader(), &byte, 1), 1);
      EXPECT_EQ(io::write(back.writer(), &byte, 1), 1);
    }
  });
  foreign.join();
}

TYPED_TEST(io_calls, foreign_kernel_thread_calls_them_too) {
  socket_pair pair;
  std::stop_source source;
  std::atomic<bool> timed_out{false};
  std::thread foreign([&] {
    char byte = 0;
    EXPECT_EQ(io::read(pair.ends[0], &byte, 1, 2ms), -1);
    EXPECT_EQ(last_error(), ETIMEDOUT);
    timed_out = true;
    EXPECT_EQ(io::read(pair.ends[0], &byte, 1), 1);
    EXPECT_EQ(io::poll(pair.ends[0], POLLIN, 2ms), 0);
    EXPECT_EQ(io::read(pair.ends[0], &byte, 1, source.get_token()), -1);
    EXPECT_EQ(last_error(), ECANCELED);
  });
  eventually([&] { return timed_out.load(); });
  this->in([&] { EXPECT_EQ(io::write(pair.ends[1], "x", 1), 1); });
  std::this_thread::sleep_for(5ms);  // so that the stop mostly meets a thread that waits
  source.request_stop();
  foreign.join();
}

TYPED_TEST(io_calls, poll_tells_which_of_several_is_ready) {
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

TYPED_TEST(io_calls, poll_sees_a_close_and_a_stop) {
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

TYPED_TEST(io_calls, readers_and_writers_wait_on_one_descriptor) {
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

TYPED_TEST(io_calls, one_thread_that_computes_leaves_events_to_others) {
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

TYPED_TEST(io_calls, splice_and_sendfile_move_all) {
  this->in([] {
    socket_pair in;
    socket_pair out;
    pipe_pair pipe;
    const std::string sent(200'000, 's');
    thread writer([&] {
      EXPECT_EQ(io::write(in.ends[1], sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
      in.drop(1);
    });
    thread mover([&] {
      for (;;) {
        ssize_t count = io::splice(in.ends[0], nullptr, pipe.writer(), nullptr, 65536, 0);
        ASSERT_GE(count, 0) << last_error();
        if (count == 0) break;
        while (count > 0) {
          const ssize_t moved = io::splice(pipe.reader(), nullptr, out.ends[1], nullptr,
                                           static_cast<std::size_t>(count), 0);
          ASSERT_GT(moved, 0) << last_error();
          count -= moved;
        }
      }
      const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
      off_t offset = 0;
      EXPECT_EQ(io::sendfile(out.ends[1], file, &offset, 400'000), 400'000);
      EXPECT_EQ(offset, 400'000);
      io::close(file);
      out.drop(1);
    });
    std::size_t got = 0;
    char buffer[9000];
    for (;;) {
      const ssize_t count = io::read(out.ends[0], buffer, sizeof(buffer));
      ASSERT_GE(count, 0);
      if (count == 0) break;
      got += static_cast<std::size_t>(count);
    }
    writer.join();
    mover.join();
    EXPECT_EQ(got, sent.size() + 400'000);
  });
}

}  // namespace
}  // namespace treadle
