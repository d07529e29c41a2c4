// What the runtime knows about one file descriptor: how to call it without blocking, what the
// poller has said about it, and who waits for it.
//
// Invariants: an event sets its bits and takes the waiters out under the lock, and a waiter enters
// the list under the lock only if no event has come since it saw the call fail; so no event falls
// between EAGAIN and the park. A waiter leaves by exactly one outcome, decided under the lock.
// All bytes zero is a descriptor that nobody has used: the table's memory comes so.
// Rejected: a readiness bit that is cleared before each call (a second write when it succeeds); a
// slot for one waiter in each direction (several threads may wait on one descriptor).
// Source of event-first after EAGAIN: Tokio's ScheduledIo, whose tick is our count of events.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/scheduler.hpp"

namespace treadle::io {

class descriptor_poller;
class receive_buffers;
class receive_queue;
class taken_threads;

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

enum class wait_outcome : std::uint8_t { waiting, ready, closed, stopped };

// Brought by a waiting thread on its own stack.
struct descriptor_waiter {
  // Guarded by the descriptor's lock.
  descriptor_waiter* next = nullptr;
  descriptor_waiter* previous = nullptr;
  bool chosen = false;  // an event is for it, and it will be taken out soon
  // Fixed while queued.
  core::thread* who = nullptr;
  std::uint32_t wanted = 0;  // readiness bits
  int wake_descriptor = -1;  // the eventfd of a kernel thread that waits in poll(2), else -1
  // Written once under the lock, by whoever takes the waiter out of the list: the last touch.
  base::atomic<wait_outcome> outcome{wait_outcome::waiting};
};

struct alignas(base::cache_line_bytes) descriptor {
  // Bits of `state`; the rest of it counts events.
  static constexpr std::uint32_t readable = 1;
  static constexpr std::uint32_t writable = 2;
  // After an end, an error or urgent data a short read does not say that nothing is left.
  static constexpr std::uint32_t unusual = 4;
  // A poller reports events; while none does, readiness is unknown and a call is simply tried.
  static constexpr std::uint32_t watched = 8;
  static constexpr std::uint32_t one_event = 16;
  static constexpr std::uint32_t flags = one_event - 1;

  base::spin_lock lock;
  // Atomic, changed under lock; but readable may be taken out of `state` without it.
  base::atomic<call_kind> kind;
  base::atomic<bool> is_tcp;             // a short read says that nothing is left
  base::atomic<bool> never_blocks;       // O_NONBLOCK is known to be set
  base::atomic<bool> receives_ahead;     // there is a queue
  base::atomic<bool> has_positions;      // pwrite(2) is known not to say ESPIPE
  base::atomic<std::uint32_t> lifetime;  // grows when the number's descriptor is another one
  base::atomic<std::uint32_t> state;
  // Guarded by lock.
  bool closing;  // who waits is about to be told so: nobody begins to watch or to receive
  descriptor_poller* home;
  descriptor_waiter* first;
  descriptor_waiter* last;
  receive_queue* ahead;  // of a socket that may be received from before anybody asks, else null
  // Atomic, changed under lock: the last that was put into the list. It may have left it.
  base::atomic<const descriptor_waiter*> waits_at;

  // Whether a call may succeed at once.
  static constexpr bool is_worth_a_try(std::uint32_t seen, std::uint32_t wanted) noexcept {
    return (seen & watched) == 0 || (seen & wanted) != 0;
  }

  // With the lock held, all of these.
  void push(descriptor_waiter& node) noexcept;
  void remove(descriptor_waiter& node) noexcept;
  void change_state(std::uint32_t wanted) noexcept {
    // release: pairs with the look before a call, publishes what the event says
    state.store(wanted, base::release);
  }
  // The number is now, or from now on, another descriptor: readiness is unknown, nobody watches,
  // and all who wait are told `closed`.
  void begin_lifetime() noexcept;

  // Without the lock.
  // After a short read, with what `state` was before it.
  void note_drained(std::uint32_t seen) noexcept {
    if ((seen & (watched | readable | unusual)) != (watched | readable)) return;
    // relaxed: only a hint about calls; if it fails an event has come
    state.compare_exchange_strong(seen, seen & ~readable, base::relaxed, base::relaxed);
  }
  // An event for the descriptor as it was in `when`.
  void deliver(std::uint32_t when, std::uint32_t bits) noexcept;
  // The same for one of several descriptors: the caller wakes the threads, after the last.
  void deliver(std::uint32_t when, std::uint32_t bits, taken_threads& taken) noexcept;
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
  // With the lock held. Where no request is left with it.
  void leave_home() noexcept;
  // With the lock held. True when the news was for this lifetime and somebody may wait for `bits`.
  bool accept(std::uint32_t when, const receipt& news, std::uint32_t& bits, bool& is_long) noexcept;

 public:
  // Ends one wait from outside, unless it has ended already.
  void stop(descriptor_waiter& node) noexcept;
  // Gives the wait up. False when it had ended already: see its outcome.
  bool give_up(descriptor_waiter& node) noexcept;
};

// What an event of poll(2) or epoll means, in bits of `state`.
std::uint32_t readiness_of(std::uint32_t events) noexcept;

static_assert(sizeof(descriptor) == base::cache_line_bytes, "one line a descriptor");

}  // namespace treadle::io
