// Heads of responses, written into the session's output.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string_view>
#include <utility>

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

// Bytes to be sent: a string in which what is only made room for is not written.
class output_buffer {
 public:
  std::string_view text() const { return {bytes_.get(), size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void clear() { size_ = 0; }

  // Where at least so many more may be written; what was, up to `end`, counts from then on.
  char* room(std::size_t bytes) {
    if (room_ - size_ < bytes) grow(bytes);
    return bytes_.get() + size_;
  }
  void end_at(const char* end) { size_ = static_cast<std::size_t>(end - bytes_.get()); }

 private:
  void grow(std::size_t bytes) {
    room_ = std::max(2 * room_, size_ + bytes);
    auto larger = std::make_unique_for_overwrite<char[]>(room_);
    std::copy_n(bytes_.get(), size_, larger.get());
    bytes_ = std::move(larger);
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t room_ = 0;
  std::size_t size_ = 0;
};

// Makes the room first and copies then: a tenth of a request's time is here otherwise.
class head_writer {
 public:
  explicit head_writer(output_buffer& out, std::size_t bytes_max)
      : out_(out), at_(out.room(bytes_max)) {}
  ~head_writer() { out_.end_at(at_); }
  head_writer(const head_writer&) = delete;
  head_writer& operator=(const head_writer&) = delete;

  void text(std::string_view what) { at_ = std::copy(what.begin(), what.end(), at_); }
  void number(std::uint64_t what) { at_ = std::to_chars(at_, at_ + 20, what).ptr; }

 private:
  output_buffer& out_;
  char* at_;
};

inline void append(output_buffer& out, const response& what, date_field& date) {
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
