// The continuations of fork-join parents on one processor: LIFO for the owner, FIFO for thieves.
//
// scope::spawn() runs the child at once and leaves the parent here; the child's end takes the
// parent back unless a thief has. The oldest continuation, the one a thief gets, is the root of
// the largest piece of work. Bounded: a full deque refuses, and the parent is queued like any
// ready thread instead.
// The owner takes its youngest item back without a bus lock: the fence between its claim and its
// look at the thieves' end is asymmetric, and the rare thief pays for both.
// Source: Chase and Lev, SPAA'05, with the orders of Le, Pop, Cohen and Zappa Nardelli, PPoPP'13.
#pragma once

#include <cstdint>

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/base/atomic.hpp"
#include "treadle/base/biased.hpp"
#include "treadle/base/cache_line.hpp"

namespace treadle::queue {

template <class T, std::int64_t Capacity, template <class> class Atomic = base::biased,
          class Fence = base::asymmetric_fence>
class fork_deque {
  static_assert((Capacity & (Capacity - 1)) == 0, "slots are found by masking");

 public:
  // Owner only. False when full.
  bool push(T* item) noexcept {
    const std::int64_t bottom = bottom_.load(base::relaxed);  // relaxed: owner only
    // acquire: pairs with steal()'s CAS; the thief has read the slot before we reuse it
    if (bottom - top_.load(base::acquire) >= Capacity) return false;
    slot(bottom).store(item, base::relaxed);   // relaxed: published by bottom
    bottom_.store(bottom + 1, base::release);  // pairs with steal(), publishes the slot
    return true;
  }

  // Owner only, thieves may be at work. The youngest item, or null.
  T* pop() noexcept {
    const std::int64_t bottom = bottom_.load(base::relaxed) - 1;  // relaxed: owner only
    // A look before the expensive part; relaxed: top only grows, so empty stays empty.
    if (top_.load(base::relaxed) > bottom) return nullptr;
    // Of owner and thief one must see the other's claim on the last item, or both take it. So there
    // is a full fence between the store of bottom and the load of top, here a light one whose
    // other half is in steal(). Where there is none, an exchange and not a store with a fence:
    // ThreadSanitizer does not know fences, and x86 pays the same.
    if (Fence::are_usable()) [[likely]] {
      bottom_.store(bottom, base::relaxed);  // relaxed: ordered by the fence
      Fence::light();
    } else {
      bottom_.exchange(bottom, base::seq_cst);
    }
    std::int64_t top = top_.load(base::seq_cst);
    if (top < bottom) return slot(bottom).load(base::relaxed);
    T* item = nullptr;
    if (top == bottom) {
      item = slot(bottom).load(base::relaxed);
      // seq_cst: the last item goes to whoever moves top
      if (!top_.compare_exchange_strong(top, top + 1, base::seq_cst, base::relaxed)) {
        item = nullptr;
      }
    }
    bottom_.store(bottom + 1, base::relaxed);  // relaxed: only the owner reads it to push
    return item;
  }

  // Owner only, where no thief exists (one processor).
  [[gnu::always_inline]] T* pop_alone() noexcept {
    const std::int64_t bottom = bottom_.load(base::relaxed);  // relaxed: nobody else is here
    if (top_.load(base::relaxed) == bottom) return nullptr;
    T* item = slot(bottom - 1).load(base::relaxed);
    bottom_.store(bottom - 1, base::relaxed);
    return item;
  }

  // Any thread. The oldest item; null when there is none or another taker won. Not cheap.
  T* steal() noexcept {
    std::int64_t top = top_.load(base::seq_cst);  // seq_cst: see pop()
    if (Fence::are_usable()) {
      // A look before the expensive part; relaxed: looked at again below.
      if (top >= bottom_.load(base::relaxed)) return nullptr;
      Fence::heavy();
    }
    const std::int64_t bottom = bottom_.load(base::seq_cst);  // see pop(); also pairs with push()
    if (top >= bottom) return nullptr;
    T* item = slot(top).load(base::relaxed);  // relaxed: the CAS validates it
    if (!top_.compare_exchange_strong(top, top + 1, base::seq_cst, base::relaxed)) return nullptr;
    return item;
  }

  // A guess from anywhere at what steal() would get; only to be compared.
  const T* oldest() noexcept {
    const std::int64_t top = top_.load(base::relaxed);  // relaxed: a hint
    if (top >= bottom_.load(base::relaxed)) return nullptr;
    return slot(top).load(base::relaxed);
  }

 private:
  Atomic<T*>& slot(std::int64_t index) noexcept { return slots_[index & (Capacity - 1)]; }

  // Moved by thieves, and by the owner for the last item.
  alignas(base::false_sharing_bytes) Atomic<std::int64_t> top_{0};
  // Moved by the owner.
  alignas(base::false_sharing_bytes) Atomic<std::int64_t> bottom_{0};
  Atomic<T*> slots_[Capacity] = {};
};

}  // namespace treadle::queue
