// What a load sends, and what a whole answer to it is. An answer takes what has come, in pieces of
// any size, and says when it is whole; more than that, or anything else, is an error.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace treadle::bench {

struct echo_protocol {
  static constexpr std::string_view message() {
    return "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n";
  }

  class answer {
   public:
    bool put(std::string_view bytes) {
      const std::string_view expected = message().substr(received_);
      if (bytes != expected.substr(0, bytes.size())) {
        throw std::runtime_error("the echo is not what was sent");
      }
      received_ += bytes.size();
      return received_ == message().size();
    }

   private:
    std::size_t received_ = 0;
  };
};
static_assert(echo_protocol::message().size() == 64);

struct http_protocol {
  static constexpr std::string_view message() {
    return "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  }

  /// Whole by its Content-Length. Its status must be 200, its body the one that all servers send.
  class answer {
   public:
    bool put(std::string_view bytes) {
      if (kept_.empty() && is_whole(bytes)) return true;  // as most are: nothing is copied
      kept_ += bytes;
      return is_whole(kept_);
    }

   private:
    static constexpr std::string_view body = "Hello, World!";

    static bool is_whole(std::string_view text) {
      constexpr std::string_view end_of_head = "\r\n\r\n";
      const std::size_t end = text.find(end_of_head);
      if (end == text.npos) return false;
      const std::string_view head = text.substr(0, end + 2);
      const std::string_view got = text.substr(end + end_of_head.size());
      if (!head.starts_with("HTTP/1.1 200 ")) {
        throw std::runtime_error("the answer is " + std::string(head.substr(0, head.find('\r'))));
      }
      if (length_of(head) != body.size() || got != body.substr(0, got.size())) {
        throw std::runtime_error("the answer's body is not \"Hello, World!\"");
      }
      return got.size() == body.size();
    }

    static std::size_t length_of(std::string_view head) {
      constexpr std::string_view name = "\r\ncontent-length:";
      const auto same = [](char one, char other) {
        return (one >= 'A' && one <= 'Z' ? one - 'A' + 'a' : one) == other;
      };
      const auto found = std::search(head.begin(), head.end(), name.begin(), name.end(), same);
      if (found == head.end()) throw std::runtime_error("the answer has no Content-Length");
      head.remove_prefix(static_cast<std::size_t>(found - head.begin()) + name.size());
      head.remove_prefix(std::min(head.size(), head.find_first_not_of(' ')));
      std::size_t length = std::numeric_limits<std::size_t>::max();  // what is none is too long
      std::from_chars(head.data(), head.data() + head.size(), length);
      return length;
    }

    std::string kept_;
  };
};

}  // namespace treadle::bench
