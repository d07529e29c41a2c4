// What the servers of peers without a listener of their own share: a bound socket, and the line
// that says where. A server runs until it is killed.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace treadle::bench {

inline void say_port(int port) {
  std::printf("{\"port\": %d}\n", port);
  std::fflush(stdout);
}

/// Listens at any free port of 127.0.0.1, and says which.
inline int listen_and_say() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, plain, bytes) != 0 || listen(listener, 4096) != 0 ||
      getsockname(listener, plain, &bytes) != 0) {
    throw std::system_error(errno, std::generic_category(), "a listening socket");
  }
  say_port(ntohs(address.sin_port));
  return listener;
}

inline void no_delay(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace treadle::bench
