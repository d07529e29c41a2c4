// The waiting room behind both condition variables.
//
// wait: list the own node, then unlock the mutex, then park; so a notifier who has changed the
// condition under the mutex finds every waiter that saw the old condition. Spurious returns are
// kept inside: a waiter comes back when it was notified, timed out or stopped.
// Waiters that were notified do not touch the object again: it may be destroyed after
// notify_all(), as the standard allows.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

class raw_condition {
 public:
  constexpr raw_condition() noexcept = default;
  raw_condition(const raw_condition&) = delete;
  raw_condition& operator=(const raw_condition&) = delete;

  // Before unlocking the mutex.
  void enlist(waiter& node) noexcept;
  // After unlocking it. False on time-out or stop, and then the node is out of the list.
  bool wait(waiter& node, base::deadline until) noexcept;
  bool wait(waiter& node, base::deadline until, const core::stop_alarm& stop) noexcept;
  // Instead of wait(): takes the node out. A notification that it got goes to the next waiter.
  void retract(waiter& node) noexcept;

  void notify_one() noexcept;
  void notify_all() noexcept {
    // relaxed: a notifier that must see a waiter is ordered after it by the waiter's mutex
    if (waiting_.load(base::relaxed)) notify_all_listed();
  }

 private:
  void notify_all_listed() noexcept;
  bool leave(waiter& node) noexcept;

  base::spin_lock lock_;
  // Written under lock_.
  base::atomic<bool> waiting_{false};
  // Guarded by lock_.
  wait_list list_;
};

}  // namespace treadle::sync
