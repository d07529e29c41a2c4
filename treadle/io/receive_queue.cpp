#include "treadle/io/receive_queue.hpp"

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace treadle::io {
namespace {

struct unused_queues {
  base::spin_lock lock;
  receive_queue* first = nullptr;  // guarded by lock
};

constinit unused_queues unused;

// Bytes written one after the other into a list of parts.
class parts_writer {
 public:
  parts_writer(const iovec* parts, int count) noexcept : part_(parts), left_(count) {}

  void write(const std::byte* from, std::size_t bytes) noexcept {
    while (bytes != 0 && left_ > 0) {
      const std::size_t room = part_->iov_len - done_;
      const std::size_t now = bytes < room ? bytes : room;
      if (now != 0) std::memcpy(static_cast<std::byte*>(part_->iov_base) + done_, from, now);
      from += now;
      bytes -= now;
      done_ += now;
      if (done_ == part_->iov_len) {
        ++part_;
        --left_;
        done_ = 0;
      }
    }
  }

 private:
  const iovec* part_;
  int left_;
  std::size_t done_ = 0;
};

}  // namespace

receive_queue* receive_queue::make() noexcept {
  {
    const base::guard hold(unused.lock);
    if (receive_queue* one = unused.first) {
      unused.first = std::exchange(one->next_unused_, nullptr);
      return one;
    }
  }
  return new (std::nothrow) receive_queue;
}

void receive_queue::release(receive_queue* one) noexcept {
  while (one->first_ != receive_buffers::none) {
    const std::uint16_t index = std::exchange(one->first_, one->buffers_->about(one->first_).next);
    one->buffers_->put_back(index);
  }
  std::byte* const block = one->block_;
  *one = receive_queue();
  one->block_ = block;
  const base::guard hold(unused.lock);
  one->next_unused_ = unused.first;
  unused.first = one;
}

void receive_queue::put(receive_buffers& from, std::uint16_t index, std::size_t bytes) noexcept {
  from.about(index) = {receive_buffers::none, 0, static_cast<std::uint16_t>(bytes)};
  if (first_ == receive_buffers::none) {
    buffers_ = &from;
    first_ = index;
  } else {
    buffers_->about(last_).next = index;
  }
  last_ = index;
  ++parts_;
}

ssize_t receive_queue::take_from_block(const iovec* parts, int count, std::size_t bytes,
                                       bool peeks) noexcept {
  const auto left = static_cast<std::size_t>(end_ - begin_);
  const std::size_t now = bytes < left ? bytes : left;
  if (parts != nullptr) parts_writer(parts, count).write(block_ + begin_, now);
  if (!peeks) begin_ = static_cast<std::uint16_t>(begin_ + now);
  return static_cast<ssize_t>(now);
}

ssize_t receive_queue::take(const iovec* parts, int count, std::size_t bytes, bool peeks) noexcept {
  if (begin_ != end_) return take_from_block(parts, count, bytes, peeks);
  if (first_ == receive_buffers::none) {
    if (error_ == 0) return -EAGAIN;
    return -(peeks ? error_ : std::exchange(error_, 0));
  }
  parts_writer out(parts, parts != nullptr ? count : 0);
  std::size_t done = 0;
  std::uint16_t index = first_;
  while (index != receive_buffers::none && done < bytes) {
    receive_buffers::part& one = buffers_->about(index);
    const std::size_t now = bytes - done < one.bytes ? bytes - done : one.bytes;
    out.write(buffers_->data(index) + one.offset, now);
    done += now;
    const std::uint16_t next = one.next;
    if (!peeks) {
      one.offset = static_cast<std::uint16_t>(one.offset + now);
      one.bytes = static_cast<std::uint16_t>(one.bytes - now);
      if (one.bytes == 0) {
        first_ = next;
        --parts_;
        buffers_->put_back(index);
      }
    }
    index = next;
  }
  return static_cast<ssize_t>(done);
}

}  // namespace treadle::io
