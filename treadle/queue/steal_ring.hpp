// The run queue of one processor: a bounded FIFO ring that thieves halve.
//
// Invariants: slots [head, tail) hold ready items; only the owner moves tail; head moves by one
// compare-and-swap of whoever takes items, so an item has exactly one taker. Counters are 64 bits
// wide and never wrap. A slot is overwritten only after head has passed it, so a thief that
// copied stale slots fails its compare-and-swap.
// Rejected: Chase-Lev (a thief takes one item a time, and the owner's end is LIFO: unfair to
// threads); linked queues (a cache miss per item for the thief).
// Source: the bounded local queues of Go (runtime/proc.go, runqgrab) and Tokio (queue.rs).
#pragma once

#include <cstdint>

#include "treadle/base/biased.hpp"
#include "treadle/base/cache_line.hpp"

namespace treadle::queue {

template <class T, std::uint64_t Capacity, template <class> class Atomic = base::biased>
class steal_ring {
  static_assert((Capacity & (Capacity - 1)) == 0, "slots are found by masking");

 public:
  static constexpr std::uint64_t capacity = Capacity;

  // Owner only. False when full.
  bool push(T* item) noexcept {
    const std::uint64_t tail = tail_.load(base::relaxed);  // relaxed: owner only
    // acquire: as in is_full()
    if (tail - head_.load(base::acquire) == Capacity) return false;
    push_at(tail, item);
    return true;
  }

  // Owner only: until the next push a "no" stays true.
  bool is_full() const noexcept {
    // relaxed: owner only. acquire: pairs with the takers' release of head; their reads of the slot
    // are over
    return tail_.load(base::relaxed) - head_.load(base::acquire) == Capacity;
  }

  // Owner only, when it is not full.
  void push_into_room(T* item) noexcept {
    push_at(tail_.load(base::relaxed), item);  // relaxed: owner only
  }

  // Owner only, thieves may be at work. Null when empty.
  T* pop() noexcept {
    std::uint64_t head = head_.load(base::relaxed);  // relaxed: validated by the CAS
    for (;;) {
      if (head == tail_.load(base::relaxed)) return nullptr;  // relaxed: owner only
      T* item = slot(head).load(base::relaxed);               // relaxed: the owner wrote it
      // release: a later push() may overwrite the slot only after this read of it
      if (head_.compare_exchange_weak(head, head + 1, base::release, base::relaxed)) return item;
    }
  }

  // Owner only, where no thief exists (one processor). Null when empty.
  T* pop_alone() noexcept {
    const std::uint64_t head = head_.load(base::relaxed);   // relaxed: nobody else is here
    if (head == tail_.load(base::relaxed)) return nullptr;  // relaxed: owner only
    T* item = slot(head).load(base::relaxed);
    head_.store(head + 1, base::relaxed);
    return item;
  }

  // Any thief, for its own ring `mine`, which must be empty enough for Capacity / 2 items.
  // Takes half of the items, rounded up; the first is returned, the rest is in `mine`.
  // Null when there is nothing, or when another taker won: the caller has other victims to try.
  T* steal_half_into(steal_ring& mine, std::uint64_t& taken) noexcept {
    taken = 0;
    std::uint64_t head = head_.load(base::acquire);        // pairs with other takers' CAS
    const std::uint64_t tail = tail_.load(base::acquire);  // pairs with push(), makes slots visible
    const std::uint64_t size = tail - head;
    if (tail <= head || size > Capacity) return nullptr;  // empty, or head was stale
    const std::uint64_t count = size - size / 2;
    T* first = slot(head).load(base::relaxed);
    const std::uint64_t my_tail = mine.tail_.load(base::relaxed);  // relaxed: mine to move
    for (std::uint64_t i = 1; i < count; ++i) {
      mine.slot(my_tail + i - 1).store(slot(head + i).load(base::relaxed), base::relaxed);
    }
    // acq_rel: release as in pop(); acquire so that what follows is after the take
    if (!head_.compare_exchange_strong(head, head + count, base::acq_rel, base::relaxed)) {
      return nullptr;
    }
    mine.tail_.store(my_tail + count - 1, base::release);  // pairs with thieves, publishes slots
    taken = count;
    return first;
  }

  // A guess from anywhere at the oldest item; only to be compared.
  const T* first() noexcept {
    const std::uint64_t head = head_.load(base::relaxed);  // relaxed: a hint
    if (head >= tail_.load(base::relaxed)) return nullptr;
    return slot(head).load(base::relaxed);
  }

  // A guess from anywhere; exact for the owner when no thief is at work.
  std::uint64_t size() const noexcept {
    const std::uint64_t head = head_.load(base::relaxed);  // relaxed: a hint
    const std::uint64_t tail = tail_.load(base::relaxed);
    return tail > head ? tail - head : 0;
  }

 private:
  void push_at(std::uint64_t tail, T* item) noexcept {
    slot(tail).store(item, base::relaxed);  // relaxed: published by tail
    tail_.store(tail + 1, base::release);   // pairs with thieves' acquire, publishes the slot
  }
  Atomic<T*>& slot(std::uint64_t index) noexcept { return slots_[index & (Capacity - 1)]; }

  // Moved by takers.
  alignas(base::false_sharing_bytes) Atomic<std::uint64_t> head_{0};
  // Moved by the owner.
  alignas(base::false_sharing_bytes) Atomic<std::uint64_t> tail_{0};
  Atomic<T*> slots_[Capacity] = {};
};

}  // namespace treadle::queue
