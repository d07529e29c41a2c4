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
enum class request : std::uint32_t {
  poll,
  receive,
  end,
  cancel_poll,
  cancel_receive,
  cancel_end,
  wake,
  nothing
};

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
constexpr std::uint32_t every_event = POLLIN | POLLOUT | EPOLLRDHUP | POLLPRI;
// Errors and hang-ups are always reported, too. An error alone is no end: it may be for whoever
// reads the socket's queue of errors.
constexpr std::uint32_t end_events = EPOLLRDHUP;
constexpr std::uint32_t is_end = EPOLLRDHUP | EPOLLHUP;

inline void fill_in_poll(io_uring_sqe& entry, int number, std::uint32_t events,
                         std::uint64_t tag) noexcept {
  entry.opcode = IORING_OP_POLL_ADD;
  entry.fd = number;
  entry.len = IORING_POLL_ADD_MULTI;
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

inline void fill_in(io_uring_sqe& entry, request what, int number, std::uint64_t tag) noexcept {
  if (what == request::receive) {
    fill_in_receive(entry, number, tag);
  } else {
    fill_in_poll(entry, number, what == request::poll ? every_event : end_events, tag);
  }
}

// The requests that a set stands for, in the order in which they begin, and how it is marked that
// they are taken back.
struct requests {
  explicit requests(watch_kind set) noexcept {
    if (covers(set, watch_kind::events)) all[count++] = {request::poll, request::cancel_poll};
    if (covers(set, watch_kind::receipt))
      all[count++] = {request::receive, request::cancel_receive};
    if (covers(set, watch_kind::end)) all[count++] = {request::end, request::cancel_end};
  }
  // Where file_release counts a request or its mark, else -1.
  static int kind_of(request what) noexcept {
    switch (what) {
      case request::poll:
      case request::cancel_poll:
        return 0;
      case request::receive:
      case request::cancel_receive:
        return 1;
      case request::end:
      case request::cancel_end:
        return 2;
      default:
        return -1;
    }
  }
  struct one {
    request what;
    request mark;
  };
  const one* begin() const noexcept { return all; }
  const one* end() const noexcept { return all + count; }
  int count = 0;
  one all[3] = {};
};

}  // namespace treadle::io
