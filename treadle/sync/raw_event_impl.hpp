// The member functions of basic_event. Included by raw_event.cpp and by the test that explores
// them.
#pragma once

#include "treadle/sync/raw_event.hpp"

namespace treadle::sync {

template <class Ground, event_kind Kind>
void basic_event<Ground, Kind>::set() noexcept {
  waiter* granted = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(lock_);
    if constexpr (one_shot) {
      granted = list_.pop_front();
      if (granted != nullptr) granted->next = nullptr;
    } else {
      granted = list_.pop_all();
    }
    // release: pairs with is_set()
    if (!one_shot || granted == nullptr) set_.store(true, base::release);
  }
  wait_list::grant_all(granted, [](waiter& node) noexcept { Ground::grant(node); });
}

template <class Ground, event_kind Kind>
void basic_event<Ground, Kind>::reset() noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  set_.store(false, base::relaxed);  // relaxed: it publishes nothing
}

// With lock_ held.
template <class Ground, event_kind Kind>
bool basic_event<Ground, Kind>::take() noexcept {
  if (!set_.load(base::relaxed)) return false;  // relaxed: lock_ orders it
  if (one_shot) set_.store(false, base::relaxed);
  return true;
}

template <class Ground, event_kind Kind>
bool basic_event<Ground, Kind>::try_wait() noexcept {
  if (!is_set()) return false;
  const base::guard<typename Ground::list_lock> hold(lock_);
  return take();
}

template <class Ground, event_kind Kind>
bool basic_event<Ground, Kind>::take_or_enlist(waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (take()) return true;
  list_.push_back(node);
  return false;
}

template <class Ground, event_kind Kind>
bool basic_event<Ground, Kind>::take_out(waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (node.popped) return false;
  list_.remove(node);
  return true;
}

template <class Ground, event_kind Kind>
void basic_event<Ground, Kind>::wait() noexcept {
  waiter node(Ground::self());
  if (!take_or_enlist(node)) static_cast<void>(Ground::wait(node, base::deadline::never()));
}

template <class Ground, event_kind Kind>
bool basic_event<Ground, Kind>::wait(const base::wait_limit& limit) noexcept {
  core::thread& self = Ground::self();
  const typename Ground::alarm stop(self, limit.stop());
  waiter node(self);
  if (take_or_enlist(node) || Ground::wait(node, limit.until(), &stop)) return true;
  if (take_out(node)) return false;
  return Ground::wait(node, base::deadline::never());  // the grant is on its way
}

}  // namespace treadle::sync
