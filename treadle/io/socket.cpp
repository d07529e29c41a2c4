#include "treadle/io/socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "treadle/io/calls.hpp"
#include "treadle/io/single_call.hpp"

namespace treadle::io {
namespace {

// Sourced: what the kernel caps by net.core.somaxconn anyway.
constexpr int backlog = SOMAXCONN;

// errno read in a function of its own: see treadle/io/calls.hpp.
[[noreturn, gnu::noinline]] void fail_with_errno(const char* what) {
  throw std::system_error(static_cast<int>(-errno_as_result()), std::generic_category(), what);
}

struct free_addresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using addresses = std::unique_ptr<addrinfo, free_addresses>;

addresses look_up(const std::string& host, std::uint16_t port, int flags, const char* what) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  const int error =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found);
  if (error == EAI_SYSTEM) fail_with_errno(what);
  if (error != 0) {
    throw std::system_error(std::make_error_code(std::errc::host_unreachable),
                            std::string(what) + ": " + host + ": " + ::gai_strerror(error));
  }
  return addresses(found);
}

int open_for(const addrinfo& address) noexcept {
  return ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                  address.ai_protocol);
}

// Fails on what is not TCP, where there is nothing to set.
void send_at_once(int descriptor) noexcept {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

socket& socket::operator=(socket&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = other.release();
  }
  return *this;
}

socket socket::connect(const std::string& host, std::uint16_t port, const wait_limit& limit) {
  constexpr const char* what = "treadle: socket::connect";
  const addresses found = look_up(host, port, 0, what);
  int error = EHOSTUNREACH;
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    socket made(open_for(*one));
    if (!made.is_open()) fail_with_errno(what);
    forget(made.descriptor());
    if (io::connect(made.descriptor(), one->ai_addr, one->ai_addrlen, limit) == 0) {
      send_at_once(made.descriptor());
      return made;
    }
    error = static_cast<int>(-errno_as_result());
    if (error == ECANCELED) break;
  }
  throw std::system_error(error, std::generic_category(), what);
}

void socket::close() noexcept {
  if (is_open()) io::close(release());
}

std::size_t socket::read(std::span<std::byte> buffer, const wait_limit& limit) {
  const ssize_t count = io::recv(descriptor_, buffer.data(), buffer.size(), 0, limit);
  if (count < 0) fail_with_errno("treadle: socket::read");
  return static_cast<std::size_t>(count);
}

std::size_t socket::write(std::span<const std::byte> bytes, const wait_limit& limit) {
  const ssize_t count = call_when_ready(
      descriptor_, io::descriptor::writable, limit, [=](const call_target& target, std::uint32_t) {
        return kernel_send(target.number, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      });
  if (count < 0) fail_with_errno("treadle: socket::write");
  return static_cast<std::size_t>(count);
}

void socket::write_all(std::span<const std::byte> bytes, const wait_limit& limit) {
  while (!bytes.empty()) bytes = bytes.subspan(write(bytes, limit));
}

void socket::receive_ahead() {
  if (io::receive_ahead(descriptor_) != 0) fail_with_errno("treadle: socket::receive_ahead");
}

void socket::wait_readable(const wait_limit& limit) {
  if (io::wait_readable(descriptor_, limit) != 0) fail_with_errno("treadle: socket::wait_readable");
}

void socket::shutdown_writing() {
  if (::shutdown(descriptor_, SHUT_WR) != 0) fail_with_errno("treadle: socket::shutdown_writing");
}

void socket::shutdown_both() noexcept { ::shutdown(descriptor_, SHUT_RDWR); }

listener listener::open(const std::string& address, std::uint16_t port) {
  constexpr const char* what = "treadle: listener::open";
  const addresses found = look_up(address, port, AI_PASSIVE | AI_NUMERICHOST, what);
  socket made(open_for(*found));
  if (!made.is_open()) fail_with_errno(what);
  forget(made.descriptor());
  const int on = 1;
  if (::setsockopt(made.descriptor(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(made.descriptor(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(made.descriptor(), backlog) != 0) {
    fail_with_errno(what);
  }
  return listener(std::move(made));
}

std::uint16_t listener::port() const {
  sockaddr_storage name{};
  socklen_t bytes = sizeof(name);
  if (::getsockname(socket_.descriptor(), reinterpret_cast<sockaddr*>(&name), &bytes) != 0) {
    fail_with_errno("treadle: listener::port");
  }
  if (name.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(name).sin6_port);
  }
  return name.ss_family == AF_INET ? ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port) : 0;
}

socket listener::accept(const wait_limit& limit) {
  const int made =
      io::accept(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK, limit);
  if (made < 0) fail_with_errno("treadle: listener::accept");
  send_at_once(made);
  return socket(made);
}

}  // namespace treadle::io
