// A pseudo-terminal for tests of calls on terminals.
#pragma once

#include <gtest/gtest.h>
#include <pty.h>
#include <termios.h>

#include <treadle/io.hpp>

namespace treadle::testing_support {

// Both ends of a terminal that changes nothing, unless it is `cooked`.
struct terminal {
  explicit terminal(bool cooked = false) {
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    termios how{};
    ::tcgetattr(slave, &how);
    if (!cooked) ::cfmakeraw(&how);
    how.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(slave, TCSANOW, &how);
  }
  ~terminal() {
    drop(slave);
    drop(master);
  }
  static void drop(int& end) {
    if (end >= 0) io::close(end);
    end = -1;
  }
  int master = -1;
  int slave = -1;
};

}  // namespace treadle::testing_support
