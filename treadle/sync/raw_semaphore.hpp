// A counting semaphore: the state machine behind counting_semaphore.
//
// It is a wait_word; release() grants to waiters first, in order of arrival: no barging. It does
// not touch the semaphore after it has granted the last permit, so the thread that got it may
// destroy the semaphore.
#pragma once

#include <cstdint>

#include "treadle/base/indirect_return.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/wait_word.hpp"

namespace treadle::sync {

using semaphore_ground = ground<core::wait_reason::semaphore>;

template <class Ground>
class basic_semaphore : wait_word<Ground> {
  using base_word = wait_word<Ground>;

 public:
  using base_word::take_or_enlist, base_word::take_out;
  using typename base_word::node;
  static constexpr std::int64_t count_max = std::int64_t{1} << 61;

  constexpr explicit basic_semaphore(std::int64_t count) noexcept
      : base_word(static_cast<std::uint64_t>(count)) {}
  ~basic_semaphore() {
    // relaxed: whoever destroys has synchronised with all users already
    if (!is(word_.load(base::relaxed), counted)) [[unlikely]]
      destroyed_in_use();
  }
  basic_semaphore(const basic_semaphore&) = delete;
  basic_semaphore& operator=(const basic_semaphore&) = delete;

  bool try_acquire() noexcept {
    typename Ground::pause pause;
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    for (;;) {
      if (is(seen, counted)) {
        if (seen == 0) return false;
        // acquire: pairs with release()
        if (word_.compare_exchange_weak(seen, seen - one, base::acquire, base::relaxed)) {
          return true;
        }
      } else if (is(seen, busy)) {
        pause.once();
        seen = word_.load(base::relaxed);
      } else {
        return false;
      }
    }
  }

  // False on time-out only.
  bool acquire(base::deadline until) noexcept {
    const std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the swap
    if (is(seen, counted) && seen != 0 && swap_if_alone(seen, seen - one)) return true;
    if (until.is_never()) {
      acquire_for_ever();
      return true;
    }
    return acquire_slowly(until);
  }
  // False on time-out and stop only.
  bool acquire(const base::wait_limit& limit) noexcept {
    if (try_acquire()) return true;
    return limit.stop().stop_possible() ? acquire_stoppably(limit) : acquire_slowly(limit.until());
  }

  void release(std::int64_t count) noexcept {
    const std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the swap
    if (is(seen, lone)) {
      if (swap_if_alone(seen, static_cast<std::uint64_t>(count - 1) * one)) [[likely]] {
        // The semaphore may be gone once its waiter is granted.
        return Ground::grant(lone_node(seen));
      }
    } else if (is(seen, counted) &&
               swap_if_alone(seen, seen + static_cast<std::uint64_t>(count) * one)) {
      return;
    }
    release_slowly(count);
  }

 private:
  using base_word::busy, base_word::counted, base_word::listed, base_word::lone, base_word::one;
  using base_word::is, base_word::leave, base_word::lone_node, base_word::lone_word;
  using base_word::swap_if_alone, base_word::waiters_, base_word::word_;

  TREADLE_INDIRECT_RETURN void acquire_for_ever() noexcept;
  TREADLE_INDIRECT_RETURN bool acquire_slowly(base::deadline until) noexcept;
  bool acquire_stoppably(const base::wait_limit& limit) noexcept;
  void release_slowly(std::int64_t count) noexcept;
  void grant_listed(std::int64_t count) noexcept;
  void destroyed_in_use() const noexcept;
};

extern template class wait_word<semaphore_ground>;
extern template class basic_semaphore<semaphore_ground>;
using raw_semaphore = basic_semaphore<semaphore_ground>;

}  // namespace treadle::sync
