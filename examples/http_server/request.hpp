// One HTTP/1 request, parsed by Boost.Beast's parser without copies but of the target.
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace http {

namespace beast = boost::beast;

// Sourced: Apache's and nginx's limits on a request's head are of this size.
inline constexpr std::size_t head_bytes_max = 8 * 1024;
// Guess: no route here wants a body; small ones are read and dropped.
inline constexpr std::size_t body_bytes_max = 1024 * 1024;

class request_parser final : public beast::http::basic_parser<true> {
 public:
  explicit request_parser(std::string& target) : target_(target) {
    header_limit(head_bytes_max);
    body_limit(body_bytes_max);
    eager(true);
  }

  beast::http::verb method() const { return method_; }
  bool expects_continue() const { return expects_continue_; }
  // Anything but "chunked" alone: nobody knows then where the body ends.
  bool is_coded_strangely() const { return codings_ != 0 && (codings_ != 1 || !is_chunked_); }
  // HTTP/1.1 wants one Host field, HTTP/1.0 none.
  bool names_host() const { return hosts_ == 1 || (hosts_ == 0 && version_ < 11); }

 private:
  using text = beast::string_view;
  using failure = beast::error_code;

  void on_request_impl(beast::http::verb method, text, text target, int version,
                       failure&) override {
    method_ = method;
    version_ = version;
    target_.assign(target.data(), target.size());
  }
  void on_field_impl(beast::http::field name, text, text value, failure&) override {
    if (name == beast::http::field::expect) expects_continue_ = true;
    if (name == beast::http::field::host) ++hosts_;
    if (name == beast::http::field::transfer_encoding) {
      ++codings_;
      is_chunked_ = beast::iequals(value, "chunked");
    }
  }
  void on_response_impl(int, text, int, failure&) override {}
  void on_header_impl(failure&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, failure&) override {}
  std::size_t on_body_impl(text body, failure&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, text, failure&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, text body, failure&) override {
    return body.size();
  }
  void on_finish_impl(failure&) override {}

  std::string& target_;
  beast::http::verb method_ = beast::http::verb::unknown;
  bool expects_continue_ = false;
  int version_ = 0;
  int hosts_ = 0;
  int codings_ = 0;
  bool is_chunked_ = false;
};

// The status for a request that could not be parsed.
inline unsigned status_of(const beast::error_code& error) {
  if (error == beast::http::error::header_limit) return 431;
  if (error == beast::http::error::body_limit) return 413;
  if (error == beast::http::error::bad_version) return 505;
  return 400;
}

}  // namespace http
