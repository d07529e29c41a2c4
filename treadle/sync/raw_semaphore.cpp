#include "treadle/sync/raw_semaphore.hpp"

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::sync {

raw_semaphore::~raw_semaphore() {
  // relaxed: whoever destroys has synchronised with all users already
  if ((word_.load(base::relaxed) & waiting) != 0 && !base::process_is_ending()) {
    base::fail_misuse("counting_semaphore::~counting_semaphore", "threads still wait on it");
  }
}

// Sets the locked bit, with `seen` as a first guess; returns the word without it.
inline std::uint64_t raw_semaphore::lock_word(std::uint64_t seen) noexcept {
  // acquire: pairs with the store that unlocks
  if ((seen & locked) == 0 &&
      word_.compare_exchange_strong(seen, seen | locked, base::acquire, base::relaxed)) [[likely]] {
    return seen;
  }
  return lock_word_slowly();
}

std::uint64_t raw_semaphore::lock_word_slowly() noexcept {
  base::spin_pause pause;
  for (;;) {
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    // acquire: pairs with the store that unlocks
    if ((seen & locked) == 0 &&
        word_.compare_exchange_weak(seen, seen | locked, base::acquire, base::relaxed)) {
      return seen;
    }
    pause.once();
  }
}

bool raw_semaphore::acquire_slowly(base::deadline until) noexcept {
  const std::uint64_t word = lock_word(word_.load(base::relaxed));  // relaxed: a guess
  if (word >= one) [[unlikely]] {
    word_.store(word - one, base::release);  // unlocks; pairs with lock_word()
    return true;
  }
  waiter node(core::current_thread());
  waiters_.push_back(node);
  word_.store(waiting, base::release);  // unlocks, publishes the node; pairs with lock_word()
  if (node.wait(core::wait_reason::semaphore, until)) [[likely]]
    return true;
  return !leave(node);
}

// After a time-out: true when the node has left the list, false when it was granted after all.
bool raw_semaphore::leave(waiter& node) noexcept {
  // Not through is_granted() alone: a granter that has popped the node will still touch it.
  const std::uint64_t word = lock_word(word_.load(base::relaxed));  // relaxed: a guess
  if (node.popped) {
    word_.store(word, base::release);  // unlocks
    node.wait(core::wait_reason::semaphore, base::deadline::never());
    return false;
  }
  waiters_.remove(node);
  word_.store(waiters_.empty() ? word & ~waiting : word, base::release);  // unlocks
  return true;
}

void raw_semaphore::release_slowly(std::uint64_t seen, std::int64_t count) noexcept {
  const std::uint64_t word = lock_word(seen);
  if ((word & waiting) == 0) [[unlikely]] {
    // unlocks; release: pairs with acquire and lock_word()
    word_.store(word + static_cast<std::uint64_t>(count) * one, base::release);
    return;
  }
  waiter* first = waiters_.pop_front();
  if (count == 1) [[likely]] {
    // unlocks: the last touch of the semaphore; release: pairs with acquire and lock_word()
    word_.store(waiters_.empty() ? 0 : waiting, base::release);
    first->grant();
    return;
  }
  wait_list granted;
  granted.push_back(*first);
  while (--count > 0 && !waiters_.empty()) granted.push_back(*waiters_.pop_front());
  const std::uint64_t left = static_cast<std::uint64_t>(count) * one;
  // unlocks: as above
  word_.store(left | (waiters_.empty() ? 0 : waiting), base::release);
  wait_list::grant_all(granted.pop_all());
}

}  // namespace treadle::sync
