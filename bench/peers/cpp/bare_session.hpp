// What a server of HTTP does at least: whatever comes is taken for one request, and answered with
// constant bytes, as many as http_session.hpp has. No server, but the bound below which a server
// can hardly be; the load, which does not pipeline and sends requests whole, is content with it.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace treadle::bench {

class bare_session {
 public:
  std::span<char> room() { return input_; }
  static void take(std::size_t /*count*/) {}
  static std::string_view output() {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
           "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n\r\nHello, World!";
  }
  static bool ends() { return false; }

 private:
  std::array<char, 1024> input_;  // not zeroed: whoever reads fills it
};

}  // namespace treadle::bench
