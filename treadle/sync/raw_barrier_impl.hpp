// The member functions of basic_barrier. Included by raw_barrier.cpp and by the test that explores
// them.
#pragma once

#include "treadle/sync/raw_barrier.hpp"

namespace treadle::sync {

// With lock_ held.
template <class Ground>
typename basic_barrier<Ground>::arrival basic_barrier<Ground>::count(std::ptrdiff_t by,
                                                                     const char* call) noexcept {
  if (by > missing_) base::fail_misuse(call, "more arrive than are expected in this phase");
  missing_ -= by;
  return {phase_, missing_ == 0};
}

template <class Ground>
typename basic_barrier<Ground>::arrival basic_barrier<Ground>::arrive(std::ptrdiff_t by) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  return count(by, "barrier::arrive");
}

template <class Ground>
typename basic_barrier<Ground>::arrival basic_barrier<Ground>::arrive_and_drop() noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  --expected_;
  return count(1, "barrier::arrive_and_drop");
}

template <class Ground>
typename basic_barrier<Ground>::arrival basic_barrier<Ground>::arrive_and_enlist(
    waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  const arrival made = count(1, "barrier::arrive_and_wait");
  if (!made.is_last) list_.push_back(node);
  return made;
}

template <class Ground>
typename basic_barrier<Ground>::arrival basic_barrier<Ground>::arrive_and_wait() noexcept {
  waiter node(Ground::self());
  const arrival made = arrive_and_enlist(node);
  if (!made.is_last) static_cast<void>(Ground::wait(node, base::deadline::never()));
  return made;
}

template <class Ground>
void basic_barrier<Ground>::complete() noexcept {
  waiter* all = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(lock_);
    ++phase_;
    missing_ = expected_;
    all = list_.pop_all();
  }
  wait_list::grant_all(all, [](waiter& node) noexcept { Ground::grant(node); });
}

template <class Ground>
bool basic_barrier<Ground>::enlist(waiter& node, phase during) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (phase_ != during) return false;
  list_.push_back(node);
  return true;
}

template <class Ground>
bool basic_barrier<Ground>::take_out(waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (node.popped) return false;
  list_.remove(node);
  return true;
}

template <class Ground>
void basic_barrier<Ground>::wait(phase during) noexcept {
  waiter node(Ground::self());
  if (enlist(node, during)) static_cast<void>(Ground::wait(node, base::deadline::never()));
}

template <class Ground>
bool basic_barrier<Ground>::wait(phase during, const base::wait_limit& limit) noexcept {
  core::thread& self = Ground::self();
  const typename Ground::alarm stop(self, limit.stop());
  waiter node(self);
  if (!enlist(node, during)) return true;
  if (Ground::wait(node, limit.until(), &stop)) return true;
  if (take_out(node)) return false;
  return Ground::wait(node, base::deadline::never());  // the grant is on its way
}

}  // namespace treadle::sync
