#include "treadle/sync/raw_once.hpp"

namespace treadle::sync {

raw_once::step raw_once::begin_or_enlist(waiter& node) noexcept {
  const base::guard hold(lock_);
  const std::uint8_t state = state_.load(base::relaxed);  // relaxed: changes under lock_ only
  if (state == done) return step::is_done;
  if (state == idle) {
    state_.store(running, base::relaxed);
    return step::must_run;
  }
  list_.push_back(node);
  return step::is_listed;
}

bool raw_once::begin() noexcept {
  for (;;) {
    waiter node(core::current_thread());
    const step found = begin_or_enlist(node);
    if (found != step::is_listed) return found == step::must_run;
    node.wait(core::wait_reason::once, base::deadline::never());
  }
}

void raw_once::finish(bool success) noexcept {
  waiter* all = nullptr;
  {
    const base::guard hold(lock_);
    state_.store(success ? done : idle, base::release);  // pairs with is_done()
    all = list_.pop_all();
  }
  wait_list::grant_all(all);
}

}  // namespace treadle::sync
