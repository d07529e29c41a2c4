// Lets whole suites run once more with sockets that the runtime may receive from before it is
// asked: where TREADLE_TEST_RECEIVE is "ahead".
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>
#include <treadle/io.hpp>
#include <utility>

namespace treadle::testing_support {

inline bool receives_ahead() {
  const char* wish = std::getenv("TREADLE_TEST_RECEIVE");
  return wish != nullptr && std::string_view(wish) == "ahead";
}

inline void maybe_receive_ahead(int socket) {
  if (!receives_ahead()) return;
  EXPECT_EQ(io::receive_ahead(socket), 0);
}

inline io::socket maybe_ahead(io::socket made) {
  maybe_receive_ahead(made.descriptor());
  return made;
}

}  // namespace treadle::testing_support
