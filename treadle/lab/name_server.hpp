// A name server on the loopback interface that answers late, and a look-up that asks it.
//
// The look-up is libc's own resolver (res_nquery), the part of getaddrinfo that blocks: a real
// blocking call, of a known length, that needs no network and leaves the machine's own resolver
// alone. The server is a kernel thread outside of every runtime.
#pragma once

#include <cstdint>
#include <thread>

namespace treadle::lab {

class slow_name_server {
 public:
  // Throws std::system_error when there is no loopback interface or no port.
  explicit slow_name_server(double delay_nanoseconds);
  ~slow_name_server();
  slow_name_server(const slow_name_server&) = delete;
  slow_name_server& operator=(const slow_name_server&) = delete;

  // Blocks the kernel thread for the delay, at most three seconds. Needs some 100 KiB of stack.
  void look_up() const;

 private:
  void serve(double delay_nanoseconds) const;

  int socket_ = -1;
  std::uint16_t port_ = 0;  // network order
  std::thread serving_;
};

}  // namespace treadle::lab
