// What POSIX calls an error is one whoever makes the call, under every model.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <treadle/co.hpp>
#include <treadle/io.hpp>
#include <treadle/task.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/descriptor_pairs.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::pipe_pair;
using testing_support::socket_pair;

template <class Configuration>
class io_errors : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(io_errors, testing_support::every_model, testing_support::model_names);

void expect_error(ssize_t result, int error) {
  EXPECT_EQ(result, -1);
  EXPECT_EQ(io::own_errno(), error);
}

TYPED_TEST(io_errors, what_has_no_positions_is_not_written_to_at_one) {
  this->in([] {
    const pipe_pair pipe;
    socket_pair sockets;
    for (const wait_limit& limit : {wait_limit(), wait_limit(1h)}) {
      for (const int none : {pipe.writer(), sockets.ends[1]}) {
        iovec part{const_cast<char*>("xy"), 2};
        expect_error(io::pwrite(none, "x", 1, 0, limit), ESPIPE);
        expect_error(io::pwritev(none, &part, 1, 7, limit), ESPIPE);
      }
      char got = 0;
      iovec part{&got, 1};
      expect_error(io::pread(pipe.reader(), &got, 1, 0, limit), ESPIPE);
      expect_error(io::preadv(sockets.ends[0], &part, 1, 0, limit), ESPIPE);
      expect_error(io::pwrite(-1, &got, 1, 0, limit), EBADF);
    }
    char got = 0;
    expect_error(io::read(pipe.reader(), &got, 1, 0ms), ETIMEDOUT);
    expect_error(io::read(sockets.ends[0], &got, 1, 0ms), ETIMEDOUT);
  });
}

// A number that was a file's and is a pipe's.
TYPED_TEST(io_errors, positions_are_not_remembered_beyond_a_close) {
  this->in([] {
    char name[] = "/tmp/treadle-errors-XXXXXX";
    const int file = ::mkostemp(name, O_CLOEXEC);
    ::unlink(name);
    EXPECT_EQ(io::pwrite(file, "x", 1, 0), 1);
    EXPECT_EQ(io::pwrite(file, "y", 1, 1), 1);
    const pipe_pair pipe;
    io::close(file);
    ASSERT_EQ(::dup2(pipe.writer(), file), file);
    expect_error(io::pwrite(file, "x", 1, 0), ESPIPE);
    io::close(file);
  });
}

TYPED_TEST(io_errors, too_many_parts_and_too_many_bytes_are_refused) {
  this->in([] {
    char name[] = "/tmp/treadle-errors-XXXXXX";
    const int file = ::mkostemp(name, O_CLOEXEC);
    ::unlink(name);
    const pipe_pair pipe;
    socket_pair sockets;
    char bytes[8] = "abcdefg";
    std::vector<iovec> many(IOV_MAX + 1, iovec{bytes, 1});
    const iovec huge{bytes, SIZE_MAX};
    const iovec sum[2] = {{bytes, 4}, {bytes, SSIZE_MAX}};
    for (const int one : {file, pipe.writer(), sockets.ends[1]}) {
      expect_error(io::writev(one, many.data(), IOV_MAX + 1), EINVAL);
      expect_error(io::writev(one, many.data(), -1), EINVAL);
      expect_error(io::writev(one, &huge, 1), EINVAL);
      expect_error(io::writev(one, sum, 2), EINVAL);
      expect_error(io::write(one, bytes, SIZE_MAX), EINVAL);
      expect_error(io::pwritev(one, &huge, 1, 0), EINVAL);
    }
    expect_error(io::pwritev(file, sum, 2, 0), EINVAL);
    expect_error(io::pwrite(file, bytes, SIZE_MAX, 0), EINVAL);
    struct stat about {};
    ::fstat(file, &about);
    EXPECT_EQ(about.st_size, 0);
    EXPECT_EQ(io::write(pipe.writer(), bytes, 8), 8);
    EXPECT_EQ(io::write(sockets.ends[1], bytes, 8), 8);
    for (const int one : {file, pipe.reader(), sockets.ends[0]}) {
      expect_error(io::readv(one, many.data(), IOV_MAX + 1), EINVAL);
      expect_error(io::readv(one, &huge, 1), EINVAL);
      expect_error(io::read(one, bytes, SIZE_MAX), EINVAL);
    }
    expect_error(io::pread(file, bytes, SIZE_MAX, 0), EINVAL);
    EXPECT_EQ(io::writev(file, many.data(), IOV_MAX), IOV_MAX);
    io::close(file);
  });
}

TYPED_TEST(io_errors, nobody_waits_for_a_number_that_is_no_descriptor) {
  this->in([] {
    constexpr int none = 9999;
    ASSERT_EQ(::fcntl(none, F_GETFD), -1);
    expect_error(io::wait_readable(none), EBADF);
    expect_error(io::wait_writable(none, 1h), EBADF);
    expect_error(io::wait_readable(-1), EBADF);
  });
}

TYPED_TEST(io_errors, accept_leaves_alone_what_is_no_socket) {
  this->in([] {
    const pipe_pair pipe;
    expect_error(io::accept(pipe.reader(), nullptr, nullptr), ENOTSOCK);
    EXPECT_EQ(::fcntl(pipe.reader(), F_GETFL) & O_NONBLOCK, 0);
  });
}

struct listening_socket {
  listening_socket() {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(number, general(), bytes), 0);
    EXPECT_EQ(::getsockname(number, general(), &bytes), 0);
    EXPECT_EQ(::listen(number, 8), 0);
  }
  ~listening_socket() { io::close(number); }
  sockaddr* general() { return reinterpret_cast<sockaddr*>(&address); }

  int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  socklen_t bytes = sizeof(sockaddr_in);
};

TYPED_TEST(io_errors, a_socket_is_connected_once) {
  this->in([] {
    listening_socket listener;
    for (const int flags : {0, int{SOCK_NONBLOCK}}) {
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
      EXPECT_EQ(io::connect(client, listener.general(), listener.bytes), 0);
      expect_error(io::connect(client, listener.general(), listener.bytes), EISCONN);
      expect_error(::connect(client, listener.general(), listener.bytes), EISCONN);
      io::close(client);
    }
    const auto connects = [](int client, const listening_socket& to) -> task<ssize_t> {
      const auto* const address = reinterpret_cast<const sockaddr*>(&to.address);
      const ssize_t first = co_await co::connect(client, address, to.bytes);
      if (first != 0) co_return first;
      co_return co_await co::connect(client, address, to.bytes);
    };
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(block_on(connects(client, listener)), -EISCONN);
    io::close(client);
  });
}

// And may be used again, as after connect(2).
TYPED_TEST(io_errors, a_connection_that_was_refused_may_be_tried_again) {
  this->in([] {
    sockaddr_in nobody{};
    socklen_t bytes = sizeof(nobody);
    {
      const listening_socket gone;
      nobody = gone.address;
    }
    const auto connects = [](int client, const sockaddr_in& to) -> task<ssize_t> {
      co_return co_await co::connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    };
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect_error(io::connect(client, reinterpret_cast<sockaddr*>(&nobody), bytes), ECONNREFUSED);
    EXPECT_EQ(block_on(connects(client, nobody)), -ECONNREFUSED);
    listening_socket listener;
    EXPECT_EQ(io::connect(client, listener.general(), listener.bytes), 0);
    io::close(client);
  });
}

}  // namespace
}  // namespace treadle
