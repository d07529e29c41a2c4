// What a load sends, and what a whole answer to it is. An answer takes what has come, in pieces of
// any size, and says when it is whole; more than that, or anything else, is an error.
#pragma once

#include <cstddef>
#include <stdexcept>
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

}  // namespace treadle::bench
