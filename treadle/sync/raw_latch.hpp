// A count that goes down once: the state machine behind latch.
//
// The count becomes zero only under the list lock, and a thread that finds it zero passes through
// that lock: so whoever returns from wait() may destroy the latch, the last count_down() has left.
// Who counts down to wait does both in one, and has left the latch or is in the list by then.
#pragma once

#include <cstddef>

#include "treadle/base/atomic.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

class raw_latch {
 public:
  constexpr explicit raw_latch(std::ptrdiff_t count) noexcept : count_(count) {}
  raw_latch(const raw_latch&) = delete;
  raw_latch& operator=(const raw_latch&) = delete;

  void count_down(std::ptrdiff_t by) noexcept;
  bool try_wait() noexcept;
  void wait() noexcept;
  void arrive_and_wait(std::ptrdiff_t by) noexcept;
  // False on time-out and stop only.
  bool wait(const base::wait_limit& limit) noexcept;

  // The parts of a wait, for tasks. False when the count is zero.
  bool enlist(waiter& node) noexcept;
  bool arrive_and_enlist(std::ptrdiff_t by, waiter& node) noexcept;
  // False for a node that a granter has taken and will still touch.
  bool take_out(waiter& node) noexcept;

 private:
  bool count_down_to_zero(std::ptrdiff_t by, const char* call) noexcept;

  base::atomic<std::ptrdiff_t> count_;
  base::spin_lock lock_;
  // Guarded by lock_.
  wait_list list_;
};

}  // namespace treadle::sync
