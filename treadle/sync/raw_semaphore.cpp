#include "treadle/sync/raw_semaphore.hpp"

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::sync {

raw_semaphore::~raw_semaphore() {
  // relaxed: whoever destroys has synchronised with all users already
  if ((word_.load(base::relaxed) & waiting) != 0) {
    base::fail_misuse("counting_semaphore::~counting_semaphore", "threads still wait on it");
  }
}

// Sets the locked bit; returns the word without it.
std::uint64_t raw_semaphore::lock_word() noexcept {
  base::spin_pause pause;
  for (;;) {
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    // acquire: pairs with the store that unlocks; acq_rel would add nothing
    if ((seen & locked) == 0 &&
        word_.compare_exchange_weak(seen, seen | locked, base::acquire, base::relaxed)) {
      return seen;
    }
    pause.once();
  }
}

bool raw_semaphore::acquire_slowly(base::deadline until) noexcept {
  const std::uint64_t word = lock_word();
  if (word >= one) {
    word_.store(word - one, base::release);  // unlocks; pairs with lock_word()
    return true;
  }
  waiter node(core::current_thread());
  waiters_.push_back(node);
  word_.store(waiting, base::release);  // unlocks, publishes the node; pairs with lock_word()
  if (node.wait(core::wait_reason::semaphore, until)) return true;
  return !leave(node);
}

// After a time-out: true when the node has left the list, false when it was granted after all.
bool raw_semaphore::leave(waiter& node) noexcept {
  // Not through is_granted() alone: a granter that has popped the node will still touch it.
  const std::uint64_t word = lock_word();
  if (node.popped) {
    word_.store(word, base::release);  // unlocks
    node.wait(core::wait_reason::semaphore, base::deadline::never());
    return false;
  }
  waiters_.remove(node);
  word_.store(waiters_.empty() ? word & ~waiting : word, base::release);  // unlocks
  return true;
}

void raw_semaphore::release_slowly(std::int64_t count) noexcept {
  const std::uint64_t word = lock_word();
  if ((word & waiting) == 0) {
    // unlocks; release: pairs with acquire and lock_word()
    word_.store(word + static_cast<std::uint64_t>(count) * one, base::release);
    return;
  }
  wait_list granted;
  waiter* first = waiters_.pop_front();
  --count;
  while (count > 0 && !waiters_.empty()) {
    waiter* node = waiters_.pop_front();
    granted.push_back(*node);
    --count;
  }
  const std::uint64_t left = static_cast<std::uint64_t>(count) * one;
  // unlocks: the last touch of the semaphore; release: pairs with acquire and lock_word()
  word_.store(left | (waiters_.empty() ? 0 : waiting), base::release);
  first->grant();
  wait_list::grant_all(granted.pop_all());
}

}  // namespace treadle::sync
