#include "treadle/sync/raw_condition.hpp"

namespace treadle::sync {

void raw_condition::enlist(waiter& node) noexcept {
  const base::guard hold(lock_);
  list_.push_back(node);
  waiting_.store(true, base::relaxed);  // relaxed: see notify_all()
}

// True when the node has left the list, false when it was granted after all.
bool raw_condition::leave(waiter& node) noexcept {
  {
    const base::guard hold(lock_);
    if (!node.popped) {
      list_.remove(node);
      waiting_.store(!list_.empty(), base::relaxed);  // relaxed: see notify_all()
      return true;
    }
  }
  // The grant is on its way.
  node.wait(core::wait_reason::condition, base::deadline::never());
  return false;
}

bool raw_condition::wait(waiter& node, base::deadline until) noexcept {
  if (node.wait(core::wait_reason::condition, until)) return true;
  return !leave(node);
}

bool raw_condition::wait(waiter& node, base::deadline until,
                         const core::stop_alarm& stop) noexcept {
  if (node.wait(core::wait_reason::condition, until, stop)) return true;
  return !leave(node);
}

void raw_condition::retract(waiter& node) noexcept {
  if (!leave(node)) notify_one();
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

void raw_condition::notify_all_listed() noexcept {
  waiter* all = nullptr;
  {
    const base::guard hold(lock_);
    all = list_.pop_all();
    waiting_.store(false, base::relaxed);
  }
  wait_list::grant_all(all);
}

}  // namespace treadle::sync
