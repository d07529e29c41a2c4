// What was received for a socket before anybody asked: it comes before all that is still in the
// kernel.
//
// Only for sockets of which the program has said, by receive_ahead(), that nobody else reads them.
// Where a ring receives, these are its buffers. Elsewhere a read that asks for little takes all
// that is there, up to a small block, and leaves the rest here: so one read empties the socket and
// knows that it did, where reads of just as much as comes must each ask once more. Never both at a
// time: the ring begins, and reads go to the socket, only when nothing is left here.
// Everything here is guarded by the descriptor's lock. While `armed_by` is set that ring may
// receive more at any time: nobody else reads from the socket then, else the order were lost. Once
// the ring has said that it is over, and the queue is empty, reading from the socket itself goes on
// where the queue has ended; an end is found there, too.
// Beside the request to receive there is one that only reports the end, because the other may not:
// when a multishot receive is woken once, or begins, with the last bytes and the end there, the
// kernel stops it as soon as the socket says that no bytes are left, and nothing wakes it again
// (seen with Linux 6.18, AF_UNIX and TCP). So a reported end has the receive taken back, and who
// reads finds the end in the socket. The two begin and end apart: `guarded_by` may outlive
// `armed_by`.
// The objects are never given back to the heap: they are released with locks held.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "treadle/io/receive_buffers.hpp"

namespace treadle::io {

class descriptor_poller;

class receive_queue {
 public:
  // Not with a lock held. Null without memory.
  static receive_queue* make() noexcept;
  static void release(receive_queue* unused) noexcept;

  // Who has such a request, else null.
  descriptor_poller* armed_by = nullptr;    // receives
  descriptor_poller* guarded_by = nullptr;  // reports the end

  bool is_armed() const noexcept { return armed_by != nullptr; }
  bool is_with_ring() const noexcept { return armed_by != nullptr || guarded_by != nullptr; }

  bool is_empty() const noexcept {
    return first_ == receive_buffers::none && begin_ == end_ && error_ == 0;
  }
  // Beyond it the ring is told to stop, so that the peer feels that nobody reads.
  bool is_long() const noexcept { return parts_ >= parts_max; }

  // The block of small reads; null until one was given. It stays with the object.
  static constexpr std::size_t block_bytes = 512;
  bool has_block() const noexcept { return block_ != nullptr; }
  void give_block(std::byte* made) noexcept { block_ = made; }
  // Into which a read from the socket goes when the queue is empty, and then how much came.
  std::byte* block() noexcept { return block_; }
  void fill_block(std::size_t bytes) noexcept {
    begin_ = 0;
    end_ = static_cast<std::uint16_t>(bytes);
  }

  void put(receive_buffers& from, std::uint16_t index, std::size_t bytes) noexcept;
  void put_error(int error) noexcept { error_ = error; }

  // Copies to `parts`, unless that is null; takes what it has copied, unless it only `peeks`. How
  // many bytes; the error (as -errno) when there are none; -EAGAIN when it is empty.
  ssize_t take(const iovec* parts, int count, std::size_t bytes, bool peeks) noexcept;

 private:
  // Guess: 32 KiB, half of what a connection usually has in the kernel.
  static constexpr unsigned parts_max = 16;

  ssize_t take_from_block(const iovec* parts, int count, std::size_t bytes, bool peeks) noexcept;

  receive_buffers* buffers_ = nullptr;  // of all that is queued
  std::uint16_t first_ = receive_buffers::none;
  std::uint16_t last_ = receive_buffers::none;
  unsigned parts_ = 0;
  int error_ = 0;
  std::uint16_t begin_ = 0;  // of what is left in the block
  std::uint16_t end_ = 0;
  std::byte* block_ = nullptr;
  receive_queue* next_unused_ = nullptr;
};

}  // namespace treadle::io
