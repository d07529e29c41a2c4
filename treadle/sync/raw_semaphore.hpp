// A counting semaphore: the state machine behind counting_semaphore.
//
// One word holds the count, a bit that says that threads wait, and a bit that locks the wait list;
// so every operation is one read-modify-write, also with waiters. Invariant: while threads wait
// the count is zero, for release() grants to waiters first, in order of arrival: no barging.
// release() does not touch the semaphore after it has granted the last permit, so the thread that
// got it may destroy the semaphore.
#pragma once

#include <cstdint>

#include "treadle/base/biased.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/indirect_return.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

class raw_semaphore {
 public:
  static constexpr std::int64_t count_max = std::int64_t{1} << 61;

  constexpr explicit raw_semaphore(std::int64_t count) noexcept
      : word_(static_cast<std::uint64_t>(count) * one) {}
  ~raw_semaphore();
  raw_semaphore(const raw_semaphore&) = delete;
  raw_semaphore& operator=(const raw_semaphore&) = delete;

  bool try_acquire() noexcept {
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    while (seen >= one) {
      // With a count there are no waiters; a locked word changes soon and is tried again.
      if ((seen & locked) != 0) {
        base::spin_hint();
        seen = word_.load(base::relaxed);
        continue;
      }
      // acquire: pairs with release()
      if (word_.compare_exchange_weak(seen, seen - one, base::acquire, base::relaxed)) return true;
    }
    return false;
  }

  // False on time-out only.
  bool acquire(base::deadline until) noexcept {
    if (try_acquire()) return true;
    return acquire_slowly(until);
  }

  void release(std::int64_t count) noexcept {
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    while ((seen & (locked | waiting)) == 0) {
      // release: pairs with acquire
      if (word_.compare_exchange_weak(seen, seen + static_cast<std::uint64_t>(count) * one,
                                      base::release, base::relaxed)) {
        return;
      }
    }
    release_slowly(seen, count);
  }

 private:
  static constexpr std::uint64_t locked = 1;
  static constexpr std::uint64_t waiting = 2;
  static constexpr std::uint64_t one = 4;

  TREADLE_INDIRECT_RETURN bool acquire_slowly(base::deadline until) noexcept;
  void release_slowly(std::uint64_t seen, std::int64_t count) noexcept;
  bool leave(waiter& node) noexcept;
  std::uint64_t lock_word(std::uint64_t seen) noexcept;
  std::uint64_t lock_word_slowly() noexcept;

  base::biased<std::uint64_t> word_;
  // Guarded by the locked bit.
  wait_list waiters_;
};

}  // namespace treadle::sync
