// The rare paths of basic_result. Included by raw_result.cpp and by the test that explores them.
#pragma once

#include <utility>

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_result.hpp"

namespace treadle::sync {

// Makes the word `busy`; false when it is ready. Inside a counted_as_lock.
template <class Ground>
bool basic_result<Ground>::seize() noexcept {
  typename Ground::pause pause;
  std::uint32_t seen = word_.load(base::acquire);  // acquire: as in is_ready()
  for (;;) {
    if (seen == ready) return false;
    if (seen == busy) {
      pause.once();
      seen = word_.load(base::acquire);
    } else if (word_.compare_exchange_weak(seen, busy, base::acquire, base::acquire)) {
      return true;  // acquire: the lists are those that the last one left
    }
  }
}

template <class Ground>
bool basic_result<Ground>::enlist(waiter& node) noexcept {
  const base::counted_as_lock counted_here;
  if (!seize()) return false;
  waiters_.push_back(node);
  word_.store(pending, base::release);  // pairs with the next one's seize()
  return true;
}

template <class Ground>
bool basic_result<Ground>::watch(result_watcher& watching) noexcept {
  const base::counted_as_lock counted_here;
  if (!seize()) return false;
  watching.next = std::exchange(watchers_, &watching);
  word_.store(pending, base::release);  // pairs with the next one's seize()
  return true;
}

template <class Ground>
bool basic_result<Ground>::take_out(waiter& node) noexcept {
  const base::counted_as_lock counted_here;
  if (!seize()) return false;
  waiters_.remove(node);
  word_.store(pending, base::release);  // pairs with the next one's seize()
  return true;
}

// After a time-out or a stop: true when the node has left, false when it was granted after all.
template <class Ground>
bool basic_result<Ground>::leave(waiter& node) noexcept {
  if (take_out(node)) return true;
  // The grant is on its way.
  Ground::wait(node, base::deadline::never());
  return false;
}

template <class Ground>
[[gnu::noinline]] void basic_result<Ground>::wait_slowly() noexcept {
  static_cast<void>(wait_until(base::deadline::never()));
}

template <class Ground>
[[gnu::noinline]] bool basic_result<Ground>::wait_until(base::deadline until) noexcept {
  waiter node(Ground::self());
  if (!enlist(node)) return true;
  return Ground::wait(node, until) || !leave(node);
}

template <class Ground>
[[gnu::noinline]] bool basic_result<Ground>::wait_within(const base::wait_limit& limit) noexcept {
  if (!limit.stop().stop_possible()) return wait_until(limit.until());
  core::thread& self = Ground::self();
  const typename Ground::alarm alarm(self, limit.stop());
  waiter node(self);
  if (!enlist(node)) return true;
  return Ground::wait(node, limit.until(), &alarm) || !leave(node);
}

template <class Ground>
void basic_result<Ground>::finish() noexcept {
  waiter* all = nullptr;
  result_watcher* watching = nullptr;
  {
    const base::counted_as_lock counted_here;
    const bool first = seize();
    TREADLE_ASSERT(first, "a result is finished twice");
    static_cast<void>(first);
    all = waiters_.pop_all();
    watching = std::exchange(watchers_, nullptr);
    // The last touch of the result. release: pairs with is_ready()
    word_.store(ready, base::release);
  }
  wait_list::grant_all(all, [](waiter& one) noexcept { Ground::grant(one); });
  while (watching != nullptr) {
    result_watcher& one = *watching;
    watching = one.next;  // before the call: the watcher may vanish with it
    one.notify(one);
  }
}

}  // namespace treadle::sync
