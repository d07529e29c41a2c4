// The member functions of basic_wait_group. Included by raw_wait_group.cpp and by the test that
// explores them.
#pragma once

#include <limits>

#include "treadle/sync/raw_wait_group.hpp"

namespace treadle::sync {

template <class Ground>
void basic_wait_group<Ground>::add(std::int64_t more) noexcept {
  std::int64_t seen = count_.load(base::relaxed);  // relaxed: validated by the CAS
  do {
    if (more > std::numeric_limits<std::int64_t>::max() - seen) {
      base::fail_misuse("wait_group::add", "the count would become too large");
    }
    // relaxed: what was done before is published by done(), or by whatever starts the work
  } while (!count_.compare_exchange_weak(seen, seen + more, base::relaxed, base::relaxed));
}

template <class Ground>
void basic_wait_group<Ground>::done(std::int64_t less) noexcept {
  std::int64_t seen = count_.load(base::relaxed);  // relaxed: validated by the CAS
  while (seen > less) {
    // release: pairs with the last done(), which passes it on to the waiters
    if (count_.compare_exchange_weak(seen, seen - less, base::release, base::relaxed)) return;
  }
  waiter* all = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(lock_);
    // acq_rel: acquire what the others did before, release it to the waiters
    const std::int64_t before = count_.fetch_sub(less, base::acq_rel);
    if (before < less) base::fail_misuse("wait_group::done", "the count would become negative");
    if (before == less) all = list_.pop_all();
  }
  wait_list::grant_all(all, [](waiter& node) noexcept { Ground::grant(node); });
}

template <class Ground>
bool basic_wait_group<Ground>::try_wait() noexcept {
  if (count_.load(base::acquire) != 0) return false;  // pairs with done()
  const base::guard<typename Ground::list_lock> pass(lock_);
  return true;
}

template <class Ground>
bool basic_wait_group<Ground>::enlist(waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (count_.load(base::acquire) == 0) return false;  // pairs with done()
  list_.push_back(node);
  return true;
}

template <class Ground>
bool basic_wait_group<Ground>::take_out(waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(lock_);
  if (node.popped) return false;
  list_.remove(node);
  return true;
}

template <class Ground>
void basic_wait_group<Ground>::wait() noexcept {
  waiter node(Ground::self());
  if (enlist(node)) static_cast<void>(Ground::wait(node, base::deadline::never()));
}

template <class Ground>
bool basic_wait_group<Ground>::wait(const base::wait_limit& limit) noexcept {
  if (try_wait()) return true;
  core::thread& self = Ground::self();
  const typename Ground::alarm stop(self, limit.stop());
  waiter node(self);
  if (!enlist(node) || Ground::wait(node, limit.until(), &stop)) return true;
  if (take_out(node)) return false;
  return Ground::wait(node, base::deadline::never());  // the grant is on its way
}

}  // namespace treadle::sync
