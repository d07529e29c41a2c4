// Two ends of a pipe or of a pair of sockets, closed through the runtime.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <treadle/io.hpp>

#include "tests/support/receive_ahead.hpp"

namespace treadle::testing_support {

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
    for (const int end : ends) maybe_receive_ahead(end);
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

}  // namespace treadle::testing_support
