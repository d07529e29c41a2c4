// Who waits for a descriptor, and the events, limits and ends that end their waits.
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

#include "treadle/io/ground.hpp"

namespace treadle::io {

class receive_queue;
template <class Ground>
class basic_taken_threads;

enum class wait_outcome : std::uint8_t { waiting, ready, closed, stopped, given_up };

// Brought by a waiting thread on its own stack.
template <class Ground = ground>
struct basic_descriptor_waiter {
  // Guarded by the descriptor's lock.
  basic_descriptor_waiter* next = nullptr;
  basic_descriptor_waiter* previous = nullptr;
  bool chosen = false;  // an event is for it, and it will be taken out soon
  // Fixed while queued.
  core::thread* who = nullptr;
  std::uint32_t wanted = 0;  // readiness bits
  int wake_descriptor = -1;  // the eventfd of a kernel thread that waits in poll(2), else -1
  // Written once under the lock, by whoever takes the waiter out of the list: the last touch, but
  // for a stop, which may look until its callback is gone.
  typename Ground::template atomic<wait_outcome> outcome{wait_outcome::waiting};
};

// How a wait has ended.
enum class wait_result : std::uint8_t { ready, closed, stopped, timed_out };

template <class Ground = ground>
struct basic_descriptor_waits {
  using waiter = basic_descriptor_waiter<Ground>;
  using taken_threads = basic_taken_threads<Ground>;
  template <class T>
  using atomic = typename Ground::template atomic<T>;

  // Bits of `state`; the rest of it counts events.
  static constexpr std::uint32_t readable = 1;
  static constexpr std::uint32_t writable = 2;
  // After an end, an error or urgent data a short read does not say that nothing is left.
  static constexpr std::uint32_t unusual = 4;
  // A poller reports events; while none does, readiness is unknown and a call is simply tried.
  static constexpr std::uint32_t watched = 8;
  static constexpr std::uint32_t one_event = 16;
  static constexpr std::uint32_t flags = one_event - 1;
  static constexpr std::uint32_t all_bits = readable | writable | unusual;

  typename Ground::lock lock;
  // Guarded by lock.
  bool closing;  // who waits is about to be told so: nobody begins to watch or to receive
  // Atomic, changed under lock; but readable may be taken out of `state` without it.
  atomic<std::uint32_t> lifetime;  // grows when the number's descriptor is another one
  atomic<std::uint32_t> state;
  // Guarded by lock.
  waiter* first;
  waiter* last;
  receive_queue* ahead;  // of a socket that may be received from before anybody asks, else null
  // Atomic, changed under lock: the last that was put into the list. It may have left it.
  atomic<const waiter*> waits_at;

  // Whether a call may succeed at once.
  static constexpr bool is_worth_a_try(std::uint32_t seen, std::uint32_t wanted) noexcept {
    return (seen & watched) == 0 || (seen & wanted) != 0;
  }

  // ---- with the lock held ----

  void push(waiter& node) noexcept {
    node.chosen = false;
    node.next = nullptr;
    node.previous = last;
    (last != nullptr ? last->next : first) = &node;
    last = &node;
    waits_at.store(&node, base::relaxed);  // relaxed: only fetched, see warm_up_waiter()
  }
  void remove(waiter& node) noexcept {
    (node.previous != nullptr ? node.previous->next : first) = node.next;
    (node.next != nullptr ? node.next->previous : last) = node.previous;
  }
  void change_state(std::uint32_t wanted) noexcept {
    // release: pairs with the look before a call, publishes what the event says
    state.store(wanted, base::release);
  }
  // Since the caller looked, before its call failed.
  bool has_event_since(std::uint32_t seen) const noexcept {
    // relaxed: under the lock
    return ((state.load(base::relaxed) ^ seen) & ~flags) != 0;
  }
  // Of a watched one: the call has failed, so the next event is what counts.
  void await_event(waiter& node) noexcept {
    change_state(state.load(base::relaxed) & ~node.wanted);  // relaxed: under the lock
    push(node);
  }
  // The number is now another descriptor, of which nothing is known; then close_waits().
  void begin_next_lifetime() noexcept {
    // release: pairs with the look at the start of a call
    lifetime.store(lifetime.load(base::relaxed) + 1, base::release);
    change_state((state.load(base::relaxed) & ~flags) + one_event);
  }
  void close_waits() noexcept {
    taken_threads taken;
    bool more = true;
    while (more) {
      more = taken.take(*this, all_bits, wait_outcome::closed);
      taken.wake();  // takes no descriptor's lock
    }
  }

  // ---- without it ----

  // After a short read, with what `state` was before it.
  void note_drained(std::uint32_t seen) noexcept {
    if ((seen & (watched | readable | unusual)) != (watched | readable)) return;
    // relaxed: only a hint about calls; if it fails an event has come
    state.compare_exchange_strong(seen, seen & ~readable, base::relaxed, base::relaxed);
  }

  // Makes all who want one of `bits` ready. `begin(bits)`, with the lock held, does what the event
  // does, and says which bits, or by false that nobody need be told. Once, though the lock is let
  // go of to wake some before the others are taken: who was woken may have changed it all since.
  // Those who are to be told by then were chosen at first. The last are left for the caller to
  // wake.
  template <class Begin>
  void make_ready(taken_threads& taken, Begin&& begin) noexcept {
    taken.begin_descriptor();
    std::uint32_t bits = 0;
    bool more = true;
    for (bool first_round = true; more; first_round = false) {
      {
        const base::guard hold(lock);
        if (first_round && !begin(bits)) return;
        more = taken.take(*this, bits, wait_outcome::ready);
      }
      if (more) taken.wake();
    }
  }
  template <class Begin>
  void make_ready(Begin&& begin) noexcept {
    taken_threads taken;
    make_ready(taken, begin);
    taken.wake();
  }

  // An event for the descriptor as it was in `when`.
  void deliver(std::uint32_t when, std::uint32_t bits) noexcept {
    taken_threads taken;
    deliver(when, bits, taken);
    taken.wake();
  }
  // The same for one of several descriptors: the caller wakes the threads, after the last.
  void deliver(std::uint32_t when, std::uint32_t bits, taken_threads& taken) noexcept {
    make_ready(taken, [&](std::uint32_t& of) noexcept {
      // relaxed, both: under the lock
      if (lifetime.load(base::relaxed) != when) return false;
      change_state((state.load(base::relaxed) | bits) + one_event);
      of = bits;
      return true;
    });
  }

  // Ends one wait from outside, unless it has ended already.
  void stop(waiter& node) noexcept {
    taken_threads taken;
    {
      const base::guard hold(lock);
      // relaxed: under the lock
      if (node.outcome.load(base::relaxed) != wait_outcome::waiting) return;
      taken.end(*this, node, wait_outcome::stopped);
    }
    taken.wake();
  }
  // Gives the wait up. False when it had ended already: see its outcome.
  bool give_up(waiter& node) noexcept {
    const base::guard hold(lock);
    // relaxed: under the lock
    if (node.outcome.load(base::relaxed) != wait_outcome::waiting) return false;
    remove(node);
    // relaxed: under the lock; for a stop that comes late
    node.outcome.store(wait_outcome::given_up, base::relaxed);
    return true;
  }
  // By the waiter, which is in the list.
  wait_result park_until_ended(waiter& node, base::deadline until) noexcept {
    for (;;) {
      // acquire: pairs with taken_threads::end()
      switch (node.outcome.load(base::acquire)) {
        case wait_outcome::waiting:
          break;
        case wait_outcome::ready:
          return wait_result::ready;
        case wait_outcome::closed:
          return wait_result::closed;
        case wait_outcome::stopped:
          return wait_result::stopped;
        case wait_outcome::given_up:
          return wait_result::timed_out;
      }
      if (Ground::park(*node.who, until) == core::wake::timed_out) {
        static_cast<void>(give_up(node));  // the outcome says whether it had ended
      }
    }
  }
};

}  // namespace treadle::io

#include "treadle/io/taken_threads.hpp"
