// Heads of responses, written into the session's output.
#pragma once

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

inline void append_number(std::string& out, std::uint64_t number) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
  static_cast<void>(error);  // 20 digits at most
  out.append(digits, end);
}

struct response {
  unsigned status = 200;
  std::string_view type = "text/plain";
  std::string_view body{};
  std::uint64_t body_bytes = 0;  // when the body is sent apart
  bool keeps_alive = true;
  bool has_body = true;  // false after HEAD
};

inline void append(std::string& out, const response& what, date_field& date) {
  out += "HTTP/1.1 ";
  append_number(out, what.status);
  out += ' ';
  out += reason_of(what.status);
  out += "\r\nContent-Type: ";
  out += what.type;
  out += "\r\nContent-Length: ";
  append_number(out, what.body.empty() ? what.body_bytes : what.body.size());
  out += "\r\n";
  out += date.now();
  if (what.status == 405) out += "Allow: GET, HEAD\r\n";
  out += what.keeps_alive ? "\r\n" : "Connection: close\r\n\r\n";
  if (what.has_body) out += what.body;
}

}  // namespace http
