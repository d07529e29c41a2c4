// The rare paths of wait_word, for those that are built on it.
#pragma once

#include "treadle/sync/wait_word.hpp"

namespace treadle::sync {

template <class Ground>
[[gnu::noinline]] bool wait_word<Ground>::take_or_enlist(node& mine) noexcept {
  const base::counted_as_lock counted_here;
  typename Ground::pause pause;
  std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (is(seen, busy)) {
      pause.once();
      seen = word_.load(base::relaxed);
    } else if (is(seen, counted)) {
      const bool free = seen != 0;
      // acq_rel: acquire pairs with release(), release publishes the node
      if (word_.compare_exchange_weak(seen, free ? seen - one : lone_word(mine), base::acq_rel,
                                      base::relaxed)) {
        return free;
      }
    } else if (word_.compare_exchange_weak(seen, busy, base::acquire, base::relaxed)) {
      // acquire: the list and the lone node are those that the last holder left
      if (is(seen, lone)) {
        lone_node(seen).in_list = true;
        waiters_.push_back(lone_node(seen));
      }
      mine.in_list = true;
      waiters_.push_back(mine);
      word_.store(listed, base::release);  // pairs with the next holder's acquire
      return false;
    }
  }
}

template <class Ground>
bool wait_word<Ground>::take_out(node& mine) noexcept {
  const base::counted_as_lock counted_here;
  typename Ground::pause pause;
  std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (is(seen, busy)) {
      pause.once();
      seen = word_.load(base::relaxed);
    } else if (seen == lone_word(mine)) {
      // relaxed: nobody has touched the node
      if (word_.compare_exchange_weak(seen, 0, base::relaxed, base::relaxed)) return true;
    } else if (word_.compare_exchange_weak(seen, busy, base::acquire, base::relaxed)) {
      break;  // acquire: as in take_or_enlist()
    }
  }
  if (!mine.in_list || mine.popped) {
    word_.store(seen, base::release);  // as it was
    return false;
  }
  waiters_.remove(mine);
  word_.store(waiters_.empty() ? counted : listed, base::release);  // pairs with the next holder
  return true;
}

template <class Ground>
[[gnu::noinline]] bool wait_word<Ground>::leave(node& mine) noexcept {
  if (take_out(mine)) return true;
  // The grant is on its way.
  Ground::wait(mine, base::deadline::never());
  return false;
}

}  // namespace treadle::sync
