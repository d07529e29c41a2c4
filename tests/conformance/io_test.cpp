// The calls of treadle/io.hpp, under every model: the same bytes, results and errors.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
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
using testing_support::eventually;
using testing_support::pipe_pair;
using testing_support::socket_pair;

template <class Configuration>
class io_calls : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(io_calls, testing_support::every_model, testing_support::model_names);

// errno, read in a function of its own: the thread may have moved.
[[gnu::noinline]] int last_error() { return errno; }

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
