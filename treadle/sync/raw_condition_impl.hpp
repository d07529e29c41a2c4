// The member functions of basic_condition. Included by raw_condition.cpp and by the test that
// explores them.
#pragma once

#include "treadle/sync/raw_condition.hpp"
#include "treadle/sync/wait_word_impl.hpp"

namespace treadle::sync {

template <class Ground>
bool basic_condition<Ground>::wait(node& mine, base::deadline until, const alarm* stop) noexcept {
  const bool notified = Ground::wait(mine, until, stop) || !room_.leave(mine);
  finish(mine);
  return notified;
}

template <class Ground>
void basic_condition<Ground>::wait_for_ever(node& mine) noexcept {
  Ground::wait(mine, base::deadline::never());
}

template <class Ground>
void basic_condition<Ground>::retract(node& mine) noexcept {
  if (!room_.leave(mine)) notify_one();
  finish(mine);
}

template <class Ground>
void basic_condition<Ground>::notify(std::int64_t count) noexcept {
  const base::counted_as_lock counted_here;
  typename Ground::pause pause;
  std::uint64_t seen = room_.word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (seen == 0) return;
    if (room::is(seen, room::busy)) {
      pause.once();
      seen = room_.word_.load(base::relaxed);
    } else if (room::is(seen, room::lone)) {
      // The last touch of the condition. acquire: the node
      if (room_.word_.compare_exchange_weak(seen, 0, base::acquire, base::relaxed)) {
        return Ground::grant(room::lone_node(seen));
      }
    } else if (room_.word_.compare_exchange_weak(seen, room::busy, base::acquire, base::relaxed)) {
      break;  // acquire: the list is as the last holder left it
    }
  }
  waiter* const chain = room_.waiters_.pop_some(count);
  // The last touch of the condition; release: pairs with the next holder's acquire
  room_.word_.store(room_.waiters_.empty() ? 0 : std::uint64_t{room::listed}, base::release);
  wait_list::grant_all(chain, [](waiter& each) noexcept { Ground::grant(each); });
}

}  // namespace treadle::sync
