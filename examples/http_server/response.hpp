// Heads of responses, written into the session's output.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace http {

inline std::string_view reason_of(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

// The Date field, which a server with a clock must send; made anew once a second.
class date_field {
 public:
  std::string_view now() {
    std::time_t second = std::time(nullptr);
    if (second != second_) {
      second_ = second;
      std::tm parts{};
      ::gmtime_r(&second, &parts);
      size_ = std::strftime(text_, sizeof(text_), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    }
    return {text_, size_};
  }

 private:
  std::time_t second_ = -1;
  std::size_t size_ = 0;
  char text_[64];
};

struct response {
  unsigned status = 200;
  std::string_view type = "text/plain";
  std::string_view body{};
  std::uint64_t body_bytes = 0;  // when the body is sent apart
  bool keeps_alive = true;
  bool has_body = true;  // false after HEAD
};

// Makes the room first and copies then: a tenth of a request's time is here otherwise.
class head_writer {
 public:
  explicit head_writer(std::string& out, std::size_t bytes_max) : out_(out), start_(out.size()) {
    out_.resize(start_ + bytes_max);
    at_ = out_.data() + start_;
  }
  ~head_writer() { out_.resize(static_cast<std::size_t>(at_ - out_.data())); }
  head_writer(const head_writer&) = delete;
  head_writer& operator=(const head_writer&) = delete;

  void text(std::string_view what) { at_ = std::copy(what.begin(), what.end(), at_); }
  void number(std::uint64_t what) { at_ = std::to_chars(at_, at_ + 20, what).ptr; }

 private:
  std::string& out_;
  const std::size_t start_;
  char* at_;
};

inline void append(std::string& out, const response& what, date_field& date) {
  // More than all the constant parts together.
  constexpr std::size_t head_bytes = 512;
  head_writer head(out, head_bytes + what.body.size());
  if (what.status == 200) {
    head.text("HTTP/1.1 200 OK\r\nContent-Type: ");
  } else {
    head.text("HTTP/1.1 ");
    head.number(what.status);
    head.text(" ");
    head.text(reason_of(what.status));
    head.text("\r\nContent-Type: ");
  }
  head.text(what.type);
  head.text("\r\nContent-Length: ");
  head.number(what.body.empty() ? what.body_bytes : what.body.size());
  head.text("\r\n");
  head.text(date.now());
  if (what.status == 405) head.text("Allow: GET, HEAD\r\n");
  head.text(what.keeps_alive ? "\r\n" : "Connection: close\r\n\r\n");
  if (what.has_body) head.text(what.body);
}

}  // namespace http
