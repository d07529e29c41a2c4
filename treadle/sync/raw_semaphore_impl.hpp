// The rare paths of basic_semaphore. Included by raw_semaphore.cpp and by the test that explores
// them.
#pragma once

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_semaphore.hpp"
#include "treadle/sync/wait_word_impl.hpp"

namespace treadle::sync {

template <class Ground>
void basic_semaphore<Ground>::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  base::fail_misuse("counting_semaphore::~counting_semaphore", "threads still wait on it");
}

// Without a call that comes back, but for the wait: nothing need be saved around it.
template <class Ground>
void basic_semaphore<Ground>::acquire_for_ever() noexcept {
  node mine(Ground::self());
  if (swap_if_alone(0, lone_word(mine))) [[likely]] {
    Ground::wait_at_once(mine);
  } else {
    static_cast<void>(acquire_slowly(base::deadline::never()));
  }
}

template <class Ground>
bool basic_semaphore<Ground>::acquire_slowly(base::deadline until) noexcept {
  node mine(Ground::self());
  if (!swap_if_alone(0, lone_word(mine)) && take_or_enlist(mine)) return true;
  if (Ground::wait(mine, until)) [[likely]]
    return true;
  return !leave(mine);
}

template <class Ground>
bool basic_semaphore<Ground>::acquire_stoppably(const base::wait_limit& limit) noexcept {
  core::thread& self = Ground::self();
  const typename Ground::alarm alarm(self, limit.stop());
  node mine(self);
  if (take_or_enlist(mine)) return true;
  if (Ground::wait(mine, limit.until(), &alarm)) return true;
  return !leave(mine);
}

template <class Ground>
void basic_semaphore<Ground>::release_slowly(std::int64_t count) noexcept {
  const base::counted_as_lock counted_here;
  typename Ground::pause pause;
  std::uint64_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (is(seen, lone)) [[likely]] {
      // The last touch of the semaphore. acq_rel: acquire the node, release pairs with acquire
      if (word_.compare_exchange_weak(seen, static_cast<std::uint64_t>(count - 1) * one,
                                      base::acq_rel, base::relaxed)) [[likely]] {
        return Ground::grant(lone_node(seen));
      }
    } else if (is(seen, listed)) {
      // acquire: as in take_or_enlist()
      if (word_.compare_exchange_weak(seen, busy, base::acquire, base::relaxed)) {
        return grant_listed(count);
      }
    } else if (is(seen, counted)) {
      // release: pairs with acquire
      if (word_.compare_exchange_weak(seen, seen + static_cast<std::uint64_t>(count) * one,
                                      base::release, base::relaxed)) {
        return;
      }
    } else {
      pause.once();
      seen = word_.load(base::relaxed);
    }
  }
}

// With the word `busy`, and the list not empty.
template <class Ground>
void basic_semaphore<Ground>::grant_listed(std::int64_t count) noexcept {
  waiter* const chain = waiters_.pop_some(count);  // while `busy` still keeps leave() from looking
  // The last touch of the semaphore; release: pairs with acquire and with the next holder
  const std::uint64_t left = static_cast<std::uint64_t>(count) * one;
  word_.store(waiters_.empty() ? left : std::uint64_t{listed}, base::release);
  wait_list::grant_all(chain, [](waiter& waiting) noexcept { Ground::grant(waiting); });
}

}  // namespace treadle::sync
