// HTTP/1.1 on one connection, for every peer in C++: requests are parsed by the parser of
// examples/http_server (Boost.Beast's), also those that come in pieces or together, and answered
// with "Hello, World!" at /. The four calls are those of echo_session.hpp.
//
// A request that has not come whole is parsed from its start again when more has come: the load's
// come whole. Limits: 1 KiB of requests at once, as in Asio's own examples, and no large bodies.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "examples/http_server/request.hpp"
#include "http_date.hpp"

namespace treadle::bench {

class http_session {
 public:
  std::span<char> room() { return std::span(input_).subspan(filled_); }

  void take(std::size_t count) {
    filled_ += count;
    output_.clear();
    std::size_t begin = 0;
    while (begin != filled_ && !ends_) {
      http::request_parser parser(target_);
      http::beast::error_code error;
      const std::size_t used = parser.put({input_.data() + begin, filled_ - begin}, error);
      if (error == http::beast::http::error::need_more) error = {};
      if (!error && !parser.is_done()) break;
      begin += used;
      if (error || !parser.names_host() || parser.is_coded_strangely()) {
        refuse("400 Bad Request");
      } else {
        answer(parser);
      }
    }
    std::copy(input_.data() + begin, input_.data() + filled_, input_.data());
    filled_ -= begin;
    if (filled_ == input_.size()) refuse("431 Request Header Fields Too Large");
  }

  std::string_view output() const { return output_; }
  bool ends() const { return ends_; }

 private:
  void answer(const http::request_parser& request) {
    if (request.method() != http::beast::http::verb::get) return refuse("405 Method Not Allowed");
    if (target_ != "/") return refuse("404 Not Found");
    std::array<char, http_date::bytes> now;
    date.copy(now.data());
    output_ += "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n";
    output_.append(now.data(), now.size());
    output_ += "\r\nHello, World!";
    ends_ = !request.keep_alive();
  }

  /// The connection's last answer.
  void refuse(std::string_view status) {
    output_ += "HTTP/1.1 ";
    output_ += status;
    output_ += "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    ends_ = true;
  }

  static inline http_date date;

  std::array<char, 1024> input_;  // not zeroed: whoever reads fills it
  std::size_t filled_ = 0;
  std::string output_;
  std::string target_;
  bool ends_ = false;
};

}  // namespace treadle::bench
