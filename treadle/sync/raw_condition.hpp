// The waiting room behind both condition variables.
//
// wait: list the own node, then unlock the mutex, then park; so a notifier who has changed the
// condition under the mutex finds every waiter that saw the old condition. Spurious returns are
// kept inside: a waiter comes back when it was notified, timed out or stopped.
// The object may be destroyed after notify_all(), as the standard allows. Waiters without a limit
// do not touch it again once they were notified. Those with one may be about to leave when the
// notification comes, and look under the lock who was first: so they count themselves, and the
// destructor waits until they have looked.
// It has a wait_word without permits: a notification that nobody waits for is gone. A member and no
// base: a condition variable has to be of standard layout, with all data in one class.
// Source of the counting: glibc's pthread_cond_destroy.
#pragma once

#include <cstdint>

#include "treadle/base/check.hpp"
#include "treadle/base/indirect_return.hpp"
#include "treadle/sync/wait_word.hpp"

namespace treadle::sync {

using condition_ground = ground<core::wait_reason::condition>;

template <class Ground>
class basic_condition {
  struct room : wait_word<Ground> {
    using word = wait_word<Ground>;
    constexpr room() noexcept : word(0) {}
    using word::busy, word::listed, word::lone;
    using word::is, word::leave, word::lone_node, word::lone_word;
    using word::swap_if_alone, word::waiters_, word::word_;
  };

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
  struct node : room::node {
    node(core::thread& waiting, bool has_limit) noexcept
        : room::node(waiting), limited(has_limit) {}
    const bool limited;
  };

  // Before unlocking the mutex.
  void enlist(node& mine) noexcept {
    // relaxed: who destroys us has seen, through the waiter's mutex, that it waits
    if (mine.limited) leavers_.fetch_add(1, base::relaxed);
    // There are no permits to take.
    if (!room_.swap_if_alone(0, room::lone_word(mine))) {
      static_cast<void>(room_.take_or_enlist(mine));
    }
  }
  // After unlocking it. False on time-out or stop, and then the node is out of the list.
  TREADLE_INDIRECT_RETURN bool wait(node& mine, base::deadline until,
                                    const alarm* stop = nullptr) noexcept;
  // The same without a limit.
  TREADLE_INDIRECT_RETURN void wait_for_ever(node& mine) noexcept;
  // Instead of wait(): takes the node out. A notification that it got goes to the next waiter.
  void retract(node& mine) noexcept;

  // The parts of wait(), for tasks.
  bool take_out(node& mine) noexcept { return room_.take_out(mine); }
  // The end of a wait, notified or not.
  void finish(const node& mine) noexcept {
    // release: pairs with the destructor; the last touch
    if (mine.limited) leavers_.fetch_sub(1, base::release);
  }

  void notify_one() noexcept {
    // relaxed: a notifier that must see a waiter is ordered after it by the waiter's mutex
    const std::uint64_t seen = room_.word_.load(base::relaxed);
    if (seen == 0) return;
    if (room::is(seen, room::lone) && room_.swap_if_alone(seen, 0)) {
      return Ground::grant(room::lone_node(seen));
    }
    notify(1);
  }
  void notify_all() noexcept {
    if (room_.word_.load(base::relaxed) != 0) notify(most);  // relaxed: as above
  }

 private:
  static constexpr std::int64_t most = INT64_MAX;

  void notify(std::int64_t count) noexcept;

  room room_;
  // Atomic: limited waiters that may still touch us.
  typename Ground::template atomic<std::uint32_t> leavers_{0};
};

extern template class wait_word<condition_ground>;
extern template class basic_condition<condition_ground>;
using raw_condition = basic_condition<condition_ground>;

}  // namespace treadle::sync
