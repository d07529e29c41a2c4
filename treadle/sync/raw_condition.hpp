// The waiting room behind both condition variables.
//
// wait: list the own node, then unlock the mutex, then park; so a notifier who has changed the
// condition under the mutex finds every waiter that saw the old condition. Spurious returns are
// kept inside: a waiter comes back when it was notified, timed out or stopped.
// The object may be destroyed after notify_all(), as the standard allows. Waiters without a limit
// do not touch it again once they were notified. Those with one may be about to leave when the
// notification comes, and look under the lock who was first: so they count themselves, and the
// destructor waits until they have looked.
// Source of the counting: glibc's pthread_cond_destroy.
#pragma once

#include <cstdint>

#include "treadle/base/check.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

using condition_ground = ground<core::wait_reason::condition>;

template <class Ground>
class basic_condition {
 public:
  using alarm = typename Ground::alarm;

  constexpr basic_condition() noexcept = default;
  ~basic_condition() {
    // acquire: pairs with the last leaver
    while (leavers_.load(base::acquire) != 0 && !base::process_is_ending()) Ground::give_way();
  }
  basic_condition(const basic_condition&) = delete;
  basic_condition& operator=(const basic_condition&) = delete;

  // Brought by a waiting thread; `limited` when it will wait with a deadline or an alarm.
  struct node : waiter {
    node(core::thread& waiting, bool has_limit) noexcept : waiter(waiting), limited(has_limit) {}
    const bool limited;
  };

  // Before unlocking the mutex.
  void enlist(node& mine) noexcept;
  // After unlocking it. False on time-out or stop, and then the node is out of the list.
  bool wait(node& mine, base::deadline until, const alarm* stop = nullptr) noexcept;
  // Instead of wait(): takes the node out. A notification that it got goes to the next waiter.
  void retract(node& mine) noexcept;

  // The parts of wait(), for tasks. False for a node that a notifier has taken and will still
  // touch.
  bool take_out(node& mine) noexcept;
  // The end of a wait, notified or not.
  void finish(const node& mine) noexcept {
    // release: pairs with the destructor; the last touch
    if (mine.limited) leavers_.fetch_sub(1, base::release);
  }

  void notify_one() noexcept;
  void notify_all() noexcept {
    // relaxed: a notifier that must see a waiter is ordered after it by the waiter's mutex
    if (waiting_.load(base::relaxed)) notify_all_listed();
  }

 private:
  void notify_all_listed() noexcept;
  bool leave(node& mine) noexcept;

  typename Ground::list_lock lock_;
  // Written under lock_.
  typename Ground::template flag<bool> waiting_{false};
  // Atomic: limited waiters that may still touch us.
  typename Ground::template atomic<std::uint32_t> leavers_{0};
  // Guarded by lock_.
  wait_list list_;
};

extern template class basic_condition<condition_ground>;
using raw_condition = basic_condition<condition_ground>;

}  // namespace treadle::sync
