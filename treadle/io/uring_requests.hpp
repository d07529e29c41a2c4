// What the sockets' ring is asked for, and how a completion says what it is about: a tag names the
// descriptor's number and lifetime, and the request.
//
// Source: io_uring_enter(2).
#pragma once

#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>

#include <cstdint>

#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/receive_buffers.hpp"

namespace treadle::io {

// What a completion is about: a descriptor's number (below 2^24) and lifetime, and what was asked.
enum class request : std::uint32_t { poll, receive, cancel_poll, cancel_receive, wake, nothing };

constexpr unsigned number_bits = 24;
static_assert(descriptor_table::descriptors_max <= 1 << number_bits);

inline std::uint64_t tag_of(request what, int number, std::uint32_t lifetime) noexcept {
  return std::uint64_t{lifetime} << 32 | static_cast<std::uint32_t>(what) << number_bits |
         static_cast<std::uint32_t>(number);
}
inline request what_of(std::uint64_t tag) noexcept {
  return static_cast<request>((tag & 0xffffffff) >> number_bits);
}
inline int number_of(std::uint64_t tag) noexcept {
  return static_cast<int>(tag & ((1U << number_bits) - 1));
}
inline std::uint32_t lifetime_of(std::uint64_t tag) noexcept {
  return static_cast<std::uint32_t>(tag >> 32);
}

// Every edge of everything, as epoll_poller asks for it.
inline void fill_in_poll(io_uring_sqe& entry, int number, std::uint64_t tag) noexcept {
  entry.opcode = IORING_OP_POLL_ADD;
  entry.fd = number;
  entry.len = IORING_POLL_ADD_MULTI;
  std::uint32_t events = POLLIN | POLLOUT | EPOLLRDHUP | POLLPRI;
  // Sourced: io_uring_prep_poll_add(3), the halves are the other way round there.
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) events = events << 16 | events >> 16;
  entry.poll32_events = events;
  entry.user_data = tag;
}

// Into whatever buffers the ring has, once for all that ever comes. Whoever asks has just seen that
// nothing is there.
inline void fill_in_receive(io_uring_sqe& entry, int number, std::uint64_t tag) noexcept {
  entry.opcode = IORING_OP_RECV;
  entry.flags = IOSQE_BUFFER_SELECT;
  entry.ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
  entry.fd = number;
  entry.buf_group = receive_buffers::group;
  entry.user_data = tag;
}

inline void fill_in_cancel(io_uring_sqe& entry, std::uint64_t target, std::uint64_t tag) noexcept {
  entry.opcode = IORING_OP_ASYNC_CANCEL;
  entry.fd = -1;
  entry.addr = target;
  entry.cancel_flags = IORING_ASYNC_CANCEL_ALL;
  entry.user_data = tag;
}

// The requests that `what` stands for, and how their ends are marked.
struct requests {
  explicit requests(watch_kind what) noexcept {
    if (what != watch_kind::receipt) all[count++] = {request::poll, request::cancel_poll};
    if (what != watch_kind::events) all[count++] = {request::receive, request::cancel_receive};
  }
  struct one {
    request what;
    request mark;
  };
  const one* begin() const noexcept { return all; }
  const one* end() const noexcept { return all + count; }
  int count = 0;
  one all[2] = {};
};

}  // namespace treadle::io
