// One thread to run next on this processor: a hand-off that skips the run queue.
//
// The woken or just started thread usually runs as soon as the current one parks, so it is worth
// not letting it travel to another core. Thieves may take it all the same, or a thread that never
// parks would hold it for ever: a thief takes only what it has seen unchanged over a while.
// Owner puts and takes; any thief takes. Who gets a pointer out of the slot owns that thread.
#pragma once

#include "treadle/base/biased.hpp"

namespace treadle::queue {

template <class T, template <class> class Atomic = base::biased>
class next_slot {
 public:
  // Owner only. Returns what was in the slot before.
  T* put(T* item) noexcept {
    T* old = slot_.load(base::relaxed);  // relaxed: validated by the CAS
    if (old == nullptr) {
      // release: publishes the item to a thief. A store will do: thieves leave an empty slot alone
      slot_.store(item, base::release);
      return nullptr;
    }
    // release: as above
    while (!slot_.compare_exchange_weak(old, item, base::release, base::relaxed)) {
    }
    return old;
  }

  // Owner only, where no thief exists.
  T* put_alone(T* item) noexcept {
    T* old = slot_.load(base::relaxed);  // relaxed: nobody else is here
    slot_.store(item, base::relaxed);
    return old;
  }

  // The same into an empty slot only.
  bool put_first_alone(T* item) noexcept {
    if (slot_.load(base::relaxed) != nullptr) return false;  // relaxed, both: nobody else is here
    slot_.store(item, base::relaxed);
    return true;
  }

  // Owner only.
  T* take() noexcept {
    T* item = slot_.load(base::relaxed);  // relaxed: only the owner fills it
    // relaxed: the owner wrote it; a thief that was faster leaves null
    while (item != nullptr &&
           !slot_.compare_exchange_weak(item, nullptr, base::relaxed, base::relaxed)) {
    }
    return item;
  }

  T* take_alone() noexcept {
    T* item = slot_.load(base::relaxed);
    if (item != nullptr) [[likely]]  // the shortest way for who hands over
      slot_.store(nullptr, base::relaxed);
    return item;
  }

  // Any thread: what a thief would find; only to be compared.
  const T* look() const noexcept { return slot_.load(base::relaxed); }  // relaxed: a hint

  // Any thread: takes the item if it still is `expected` (another stay of the same pointer is
  // as good: whoever swaps the pointer out owns it).
  T* steal(const T* expected) noexcept {
    T* item = const_cast<T*>(expected);
    // acquire: pairs with put(), publishes the thread
    if (!slot_.compare_exchange_strong(item, nullptr, base::acquire, base::relaxed)) return nullptr;
    return item;
  }

 private:
  Atomic<T*> slot_{nullptr};
};

}  // namespace treadle::queue
