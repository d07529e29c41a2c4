// The member functions of basic_condition. Included by raw_condition.cpp and by the test that
// explores them.
#pragma once

#include "treadle/sync/raw_condition.hpp"

namespace treadle::sync {

template <class Ground>
void basic_condition<Ground>::enlist(node& mine) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  // relaxed: who destroys us has seen, through the waiter's mutex, that it waits
  if (mine.limited) leavers_.fetch_add(1, base::relaxed);
  list_.push_back(mine);
  waiting_.store(true, base::relaxed);  // relaxed: see notify_all()
}

template <class Ground>
bool basic_condition<Ground>::take_out(node& mine) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (mine.popped) return false;
  list_.remove(mine);
  waiting_.store(!list_.empty(), base::relaxed);  // relaxed: see notify_all()
  return true;
}

// True when the node has left the list, false when it was granted after all.
template <class Ground>
bool basic_condition<Ground>::leave(node& mine) noexcept {
  if (take_out(mine)) return true;
  // The grant is on its way.
  Ground::wait(mine, base::deadline::never());
  return false;
}

template <class Ground>
bool basic_condition<Ground>::wait(node& mine, base::deadline until, const alarm* stop) noexcept {
  const bool notified = Ground::wait(mine, until, stop) || !leave(mine);
  finish(mine);
  return notified;
}

template <class Ground>
void basic_condition<Ground>::retract(node& mine) noexcept {
  if (!leave(mine)) notify_one();
  finish(mine);
}

template <class Ground>
void basic_condition<Ground>::notify_one() noexcept {
  if (!waiting_.load(base::relaxed)) return;  // relaxed: see notify_all()
  waiter* first = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(lock_);
    first = list_.pop_front();
    waiting_.store(!list_.empty(), base::relaxed);
  }
  if (first != nullptr) Ground::grant(*first);
}

template <class Ground>
void basic_condition<Ground>::notify_all_listed() noexcept {
  waiter* all = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(lock_);
    all = list_.pop_all();
    waiting_.store(false, base::relaxed);
  }
  wait_list::grant_all(all, [](waiter& one) noexcept { Ground::grant(one); });
}

}  // namespace treadle::sync
