// What a server does with what comes on a connection, whatever runs it: room() is where the next
// bytes go, take(count) looks at them, output() is then to be written, ends() says that the
// connection is over behind it. Here: the same bytes back. http_session.hpp has the same four.
// 1 KiB, as in the examples of Asio and Tokio: a server does not know how long messages are.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace treadle::bench {

class echo_session {
 public:
  std::span<char> room() { return message_; }
  void take(std::size_t count) { count_ = count; }
  std::string_view output() const { return {message_.data(), count_}; }
  static bool ends() { return false; }

 private:
  std::array<char, 1024> message_;  // not zeroed: whoever reads fills it
  std::size_t count_ = 0;
};

}  // namespace treadle::bench
