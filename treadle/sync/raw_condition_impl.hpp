// The member functions of basic_condition. Included by raw_condition.cpp and by the test that
// explores them.
#pragma once

#include "treadle/sync/raw_condition.hpp"
#include "treadle/sync/wait_word_impl.hpp"

namespace treadle::sync {

template <class Ground>
bool basic_condition<Ground>::wait(node& mine, base::deadline until, const alarm* stop) noexcept {
  const bool notified = Ground::wait(mine, until, stop) || !leave(mine);
  finish(mine);
  return notified;
}

template <class Ground>
void basic_condition<Ground>::wait_for_ever(node& mine) noexcept {
  Ground::wait(mine, base::deadline::never());
}

template <class Ground>
void basic_condition<Ground>::retract(node& mine) noexcept {
  if (!leave(mine)) notify_one();
  finish(mine);
}

template <class Ground>
void basic_condition<Ground>::notify(std::int64_t count) noexcept {
  const base::counted_as_lock counted_here;
  typename Ground::pause pause;
  std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (seen == 0) return;
    if (is(seen, busy)) {
      pause.once();
      seen = word_.load(base::relaxed);
    } else if (is(seen, lone)) {
      // The last touch of the condition. acquire: the node
      if (word_.compare_exchange_weak(seen, 0, base::acquire, base::relaxed)) {
        return Ground::grant(lone_node(seen));
      }
    } else if (word_.compare_exchange_weak(seen, busy, base::acquire, base::relaxed)) {
      break;  // acquire: the list is as the last holder left it
    }
  }
  waiter* const chain = waiters_.pop_some(count);
  // The last touch of the condition; release: pairs with the next holder's acquire
  word_.store(waiters_.empty() ? 0 : std::uint64_t{listed}, base::release);
  wait_list::grant_all(chain, [](waiter& each) noexcept { Ground::grant(each); });
}

}  // namespace treadle::sync
