// What the runtime knows about one file descriptor: how to call it without blocking, what the
// poller has said about it, and who waits for it.
//
// The part that waits is in descriptor_waits.hpp. All bytes zero is a descriptor that nobody has
// used: the table's memory comes so.
#pragma once

#include <cstdint>

#include "treadle/base/cache_line.hpp"
#include "treadle/io/descriptor_waits.hpp"

namespace treadle::io {

class descriptor_poller;
class receive_buffers;
class receive_queue;

// How to make a call that does not block the kernel thread. Learned at the first use.
enum class call_kind : std::uint8_t {
  unknown,       // perhaps a socket
  socket,        // MSG_DONTWAIT
  no_wait,       // preadv2 and pwritev2 with RWF_NOWAIT
  counter,       // an eventfd: preadv2 so; to write see reluctant_write.hpp
  no_wait_read,  // preadv2 so; to write as the next
  ask_first,     // poll(2), then to read the plain call; to write as the next
  reluctant,     // see reluctant_read.hpp and reluctant_write.hpp
  always,        // a regular file or the like: the plain call; nothing to wait for
};

using descriptor_waiter = basic_descriptor_waiter<>;
extern template struct basic_descriptor_waits<ground>;

struct alignas(base::cache_line_bytes) descriptor : basic_descriptor_waits<> {
  // Atomic, changed under lock.
  base::atomic<call_kind> kind;
  base::atomic<bool> is_tcp;          // a short read says that nothing is left
  base::atomic<bool> never_blocks;    // O_NONBLOCK is known to be set
  base::atomic<bool> receives_ahead;  // there is a queue
  base::atomic<bool> has_positions;   // pwrite(2) is known not to say ESPIPE
  // Guarded by lock. Who may have requests for it, even when one has ended: where it went to
  // another runtime and back, the first watch's end may come after the second has begun, and looks
  // like the second's own. Whoever closes has the second taken back.
  descriptor_poller* home;

  // With the lock held.
  // The number is now, or from now on, another descriptor: readiness is unknown, nobody watches,
  // and all who wait are told `closed`.
  void begin_lifetime() noexcept;

  // Without the lock.
  using basic_descriptor_waits<>::deliver;
  // Has the caches fetch what deliver() is about to touch of who waits, and the thread after it.
  void warm_up_waiter() const noexcept;
  // What a ring has to say of a request to receive.
  struct receipt {
    receive_buffers* buffers = nullptr;
    int index = -1;  // of the buffer with the bytes; -1 when there is none
    int result = 0;  // bytes or -errno
    bool over = false;
  };
  // Takes the buffer over. True when the queue is too long.
  bool deliver(std::uint32_t when, const receipt& news) noexcept;
  // What a ring has to say of the request that reports the end of what it receives: the end, or its
  // own. True when the request to receive must be taken back.
  bool deliver_end(std::uint32_t when, bool has_come, bool over) noexcept;
  // The poller reports no more of it; who waits looks again. Nothing if it is another's by now or,
  // where the poller says which lifetime it means, another descriptor.
  void leave(const descriptor_poller& poller, const std::uint32_t* when = nullptr) noexcept;

  // The poller is gone, with all its requests.
  void forget(const descriptor_poller& poller) noexcept;
  // After fork(), in the child: no ring is there, nor whoever held the lock.
  void lose_ring() noexcept;

 private:
  // With the lock held. True when the news was for this lifetime and somebody may wait for `bits`.
  bool accept(std::uint32_t when, const receipt& news, std::uint32_t& bits, bool& is_long) noexcept;
};

// What an event of poll(2) or epoll means, in bits of `state`.
std::uint32_t readiness_of(std::uint32_t events) noexcept;

static_assert(sizeof(descriptor) == base::cache_line_bytes, "one line a descriptor");

}  // namespace treadle::io
