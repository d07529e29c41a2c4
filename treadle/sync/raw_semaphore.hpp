// A counting semaphore: the state machine behind counting_semaphore.
//
// One word; its two low bits say what the rest is:
//   counted - the permits left, and nobody waits; lone - one thread waits, the rest is its node;
//   listed - threads wait in the list; busy - somebody is at the list and keeps the word meanwhile.
// So a hand-over between two threads is one compare-and-swap on either side, without the list.
// Invariant: while threads wait there is no permit, for release() grants to waiters first, in order
// of arrival: no barging. release() does not touch the semaphore after it has granted the last
// permit, so the thread that got it may destroy the semaphore.
#pragma once

#include <cstdint>

#include "treadle/base/indirect_return.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

using semaphore_ground = ground<core::wait_reason::semaphore>;

template <class Ground>
class basic_semaphore {
 public:
  static constexpr std::int64_t count_max = std::int64_t{1} << 61;

  constexpr explicit basic_semaphore(std::int64_t count) noexcept
      : word_(static_cast<std::uint64_t>(count) * one) {}
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

  // What a waiting thread brings, or a task (treadle/task).
  struct node : waiter {
    using waiter::waiter;
    bool in_list = false;  // ever put there; guarded by `busy`
  };
  // The parts of a wait. True with a permit, false with the node where release() finds it.
  bool take_or_enlist(node& mine) noexcept;
  // False for a node that a granter has taken and will still touch.
  bool take_out(node& mine) noexcept;

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
  enum : std::uint64_t { counted = 0, busy = 1, listed = 2, lone = 3, tags = 3, one = 4 };

  static constexpr bool is(std::uint64_t word, std::uint64_t tag) noexcept {
    return (word & tags) == tag;
  }
  static std::uint64_t lone_word(node& waiting) noexcept {
    return reinterpret_cast<std::uint64_t>(&waiting) | lone;
  }
  static node& lone_node(std::uint64_t word) noexcept {
    return *reinterpret_cast<node*>(word & ~std::uint64_t{tags});
  }

  bool swap_if_alone(std::uint64_t expected, std::uint64_t desired) noexcept {
    return base::swap_if_alone(word_, expected, desired);
  }
  TREADLE_INDIRECT_RETURN void acquire_for_ever() noexcept;
  TREADLE_INDIRECT_RETURN bool acquire_slowly(base::deadline until) noexcept;
  bool acquire_stoppably(const base::wait_limit& limit) noexcept;
  void release_slowly(std::int64_t count) noexcept;
  void grant_listed(std::int64_t count) noexcept;
  bool leave(node& mine) noexcept;
  void destroyed_in_use() const noexcept;

  typename Ground::template atomic<std::uint64_t> word_;
  // Guarded by `busy`.
  wait_list waiters_;
};

extern template class basic_semaphore<semaphore_ground>;
using raw_semaphore = basic_semaphore<semaphore_ground>;

}  // namespace treadle::sync
