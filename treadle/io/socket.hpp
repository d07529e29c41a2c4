// Sockets as objects: a listener, and connections to read from and write to.
//
// Owners of one descriptor each, movable. They wait as the calls of treadle/io/calls.hpp do, with
// the same limits, and throw std::system_error on failure: its code is what errno would have been,
// also timed_out and operation_canceled. A connection is TCP or a local stream; small writes go
// out at once (TCP_NODELAY); writing to a peer that is gone throws broken_pipe and raises no
// signal. One thread may read while another writes; close() from a third ends both with EBADF.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "treadle/base/wait_limit.hpp"

namespace treadle::io {

using base::wait_limit;

class socket {
 public:
  socket() noexcept = default;
  // Takes over an open descriptor.
  explicit socket(int descriptor) noexcept : descriptor_(descriptor) {}
  socket(socket&& other) noexcept : descriptor_(other.release()) {}
  socket& operator=(socket&& other) noexcept;
  ~socket() { close(); }

  // A TCP connection to the first address of `host` that answers; `host` is a number or a name.
  // Looking a name up blocks the worker.
  static socket connect(const std::string& host, std::uint16_t port, const wait_limit& limit = {});

  bool is_open() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  // Gives the descriptor away.
  int release() noexcept { return std::exchange(descriptor_, -1); }
  void close() noexcept;

  // At least one byte; 0 is the peer's end.
  std::size_t read(std::span<std::byte> buffer, const wait_limit& limit = {});
  // At most some: how many the kernel took, at least one.
  std::size_t write(std::span<const std::byte> bytes, const wait_limit& limit = {});
  // All of them, or an exception.
  void write_all(std::span<const std::byte> bytes, const wait_limit& limit = {});
  void write_all(std::string_view text, const wait_limit& limit = {}) {
    write_all(std::as_bytes(std::span(text)), limit);
  }
  // Promises what treadle::io::receive_ahead() asks for.
  void receive_ahead();
  // Until read() would not wait, mostly; a buffer need only be there from then on.
  void wait_readable(const wait_limit& limit = {});

  // Half a close: the peer reads an end, we still read.
  void shutdown_writing();
  void shutdown_both() noexcept;

 private:
  int descriptor_ = -1;
};

class listener {
 public:
  // Listens at a numeric address; port 0 takes any free one.
  static listener open(const std::string& address, std::uint16_t port);
  explicit listener(socket bound) noexcept : socket_(std::move(bound)) {}

  std::uint16_t port() const;
  int descriptor() const noexcept { return socket_.descriptor(); }
  socket accept(const wait_limit& limit = {});
  // Gives the descriptor away.
  int release() noexcept { return socket_.release(); }
  void close() noexcept { socket_.close(); }

 private:
  socket socket_;
};

}  // namespace treadle::io
