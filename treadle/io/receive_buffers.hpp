// Memory into which io_uring receives before it is asked: equal buffers that a ring takes from and
// threads put back when they have read what is in them.
//
// The ring's poller makes it; it lives on after the poller for as long as a buffer is out, since
// what was received is still somebody's. put_back() from any thread; what is in a buffer that is
// out belongs to the lock of the descriptor that has it.
// Source: io_uring_register(2), IORING_REGISTER_PBUF_RING (Linux 5.19).
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "treadle/base/spin_lock.hpp"
#include "treadle/io/uring.hpp"

namespace treadle::io {

class receive_buffers {
 public:
  // Guess: a request or a small answer fits into one; more of them than connections that have
  // something to read at the same time; 1 MiB is a processor's cache, and all are used in turn.
  static constexpr std::size_t buffer_bytes = 2048;
  static constexpr unsigned count = 512;
  // The group's name in the ring.
  static constexpr unsigned group = 0;
  static constexpr std::uint16_t none = 0xffff;

  // Null without memory.
  static receive_buffers* make() noexcept;
  receive_buffers(const receive_buffers&) = delete;
  receive_buffers& operator=(const receive_buffers&) = delete;

  // The ring's kernel thread, once. 0 or an errno.
  [[nodiscard]] int give_to(uring& ring) noexcept;
  // The ring has handed one over: it is out.
  void take(std::uint16_t index) noexcept;
  void put_back(std::uint16_t index) noexcept;
  // The ring is gone.
  void abandon() noexcept;

  std::byte* data(std::uint16_t index) noexcept { return memory_ + index * buffer_bytes; }

  // Of one that is out, guarded by the lock of the descriptor that has it.
  struct part {
    std::uint16_t next = none;
    std::uint16_t offset = 0;
    std::uint16_t bytes = 0;
  };
  part& about(std::uint16_t index) noexcept { return parts_[index]; }

 private:
  explicit receive_buffers(void* memory) noexcept;
  ~receive_buffers() = default;
  void offer(std::uint16_t index) noexcept;
  void unmap() noexcept;

  // Fixed after start.
  io_uring_buf* const entries_;  // the first one's `resv` is the tail
  std::byte* const memory_;
  base::spin_lock lock_;
  // Guarded by lock_.
  std::uint16_t tail_ = 0;
  unsigned out_ = 0;
  bool abandoned_ = false;
  // See above.
  part parts_[count];
};

}  // namespace treadle::io
