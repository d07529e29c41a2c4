#include "treadle/sync/raw_condition.hpp"

namespace treadle::sync {

void raw_condition::enlist(waiter& node) noexcept {
  const base::guard hold(lock_);
  list_.push_back(node);
  waiting_.store(true, base::relaxed);  // relaxed: see notify_all()
}

// True when the node has left the list, false when a granter has popped it.
bool raw_condition::leave(waiter& node) noexcept {
  const base::guard hold(lock_);
  if (node.popped) return false;
  list_.remove(node);
  waiting_.store(!list_.empty(), base::relaxed);  // relaxed: see notify_all()
  return true;
}

bool raw_condition::wait(waiter& node, base::deadline until) noexcept {
  if (node.wait(core::wait_reason::condition, until)) return true;
  if (leave(node)) return false;
  return node.wait(core::wait_reason::condition, base::deadline::never());
}

void raw_condition::retract(waiter& node) noexcept {
  if (!leave(node)) node.wait(core::wait_reason::condition, base::deadline::never());
}

void raw_condition::notify_one() noexcept {
  if (!waiting_.load(base::relaxed)) return;  // relaxed: see notify_all()
  waiter* first = nullptr;
  {
    const base::guard hold(lock_);
    first = list_.pop_front();
    waiting_.store(!list_.empty(), base::relaxed);
  }
  if (first != nullptr) first->grant();
}

void raw_condition::notify_all_surely() noexcept {
  waiter* all = nullptr;
  {
    const base::guard hold(lock_);
    all = list_.pop_all();
    waiting_.store(false, base::relaxed);
  }
  wait_list::grant_all(all);
}

}  // namespace treadle::sync
