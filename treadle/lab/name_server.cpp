// One UDP socket, one question, one late answer.
#include "treadle/lab/name_server.hpp"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "treadle/lab/ticker.hpp"

namespace treadle::lab {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = port;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

sockaddr* generic(sockaddr_in* address) { return reinterpret_cast<sockaddr*>(address); }

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

slow_name_server::slow_name_server(double delay_nanoseconds) {
  socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) fail("socket for the name server");
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  if (::bind(socket_, generic(&address), sizeof address) != 0 ||
      ::getsockname(socket_, generic(&address), &length) != 0) {
    const int error = errno;
    ::close(socket_);
    throw std::system_error(error, std::generic_category(), "binding the name server");
  }
  port_ = address.sin_port;
  serving_ = std::thread([this, delay_nanoseconds] { serve(delay_nanoseconds); });
}

slow_name_server::~slow_name_server() {
  // An empty datagram is the sign to end.
  const int caller = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(port_);
  if (caller >= 0) {
    (void)::sendto(caller, "", 0, 0, generic(&address), sizeof address);
    ::close(caller);
  }
  serving_.join();
  ::close(socket_);
}

void slow_name_server::serve(double delay_nanoseconds) const {
  std::array<unsigned char, 512> message;
  for (;;) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t bytes =
        ::recvfrom(socket_, message.data(), message.size(), 0, generic(&from), &length);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 12) return;  // the sign to end, or no question: a header has 12 bytes
    sleep_in_kernel(delay_nanoseconds);
    // RFC 1035, 4.1.1: QR says answer, RCODE 3 says that there is no such name.
    message[2] |= 0x80;
    message[3] = static_cast<unsigned char>((message[3] & 0xf0) | 3);
    (void)::sendto(socket_, message.data(), static_cast<std::size_t>(bytes), 0, generic(&from),
                   length);
  }
}

void slow_name_server::look_up() const {
  struct __res_state state {};
  if (::res_ninit(&state) != 0) throw std::runtime_error("res_ninit failed");
  state.nscount = 1;
  state.nsaddr_list[0] = loopback(port_);
  state.retrans = 3;  // seconds to wait for the answer
  state.retry = 1;
  std::array<unsigned char, NS_PACKETSZ> answer;
  // The answer is "no such name": only its time matters.
  (void)::res_nquery(&state, "treadle.invalid", ns_c_in, ns_t_a, answer.data(), answer.size());
  ::res_nclose(&state);
}

}  // namespace treadle::lab
