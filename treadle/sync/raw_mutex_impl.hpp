// The rare paths of basic_mutex. Included by raw_mutex.cpp and by the test that explores them.
#pragma once

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_mutex.hpp"

namespace treadle::sync {

// Sourced: Go's starvation threshold of 1 ms.
inline constexpr std::int64_t mutex_patience_nanoseconds = 1'000'000;
// Guess: the holder looks at the clock about this often while somebody is on the way, so that the
// patience is kept to a tenth and the looks cost little.
inline constexpr std::int64_t mutex_look_nanoseconds = 50'000;
// Measured (bench mutex_64_L0): 128 unlocks without work inside take 0.3 us, a look 0.03.
inline constexpr unsigned mutex_stride_max = 128;

template <class Ground>
void basic_mutex<Ground>::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  fail_misuse("~", "it is locked, or threads wait for it");
}

// "timed_mutex::lock: ..."; the call "~" is the destructor.
template <class Ground>
void basic_mutex<Ground>::fail_misuse(std::string_view call, std::string_view text) const noexcept {
  constexpr std::string_view names[] = {"mutex", "timed_mutex", "recursive_mutex",
                                        "recursive_timed_mutex"};
  const std::string_view own = names[static_cast<std::size_t>(kind_)];
  char said[64];  // the longest: twice the longest name, and three
  std::size_t size = 0;
  const auto add = [&](std::string_view part) {
    for (const char each : part) said[size++] = each;
  };
  add(own);
  add("::");
  add(call);
  if (call == "~") add(own);
  base::fail_misuse({said, size}, text);
}

// Takes it for the waiter that the waking flag stands for. With `or_leave` it goes away if it does
// not get the mutex: an unlock must then wake the next one again.
template <class Ground>
bool basic_mutex<Ground>::take_woken(core::thread& self, bool or_leave) noexcept {
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  while (owner_in(seen) == 0 || or_leave) {
    const bool free = owner_in(seen) == 0;
    const std::uintptr_t wanted = (seen & ~waking) | (free ? name_of(self) : 0);
    // acquire: pairs with unlock()
    if (word_.compare_exchange_weak(seen, wanted, base::acquire, base::relaxed)) return free;
  }
  return false;
}

// Only where the holder may be running on another core. A thread of a crowd does not spin unless
// it has a kernel thread of its own, whose sleep is dear: its processor has others to run, and when
// all of them wait in the list, the lock stays on the other processor.
template <class Ground>
bool basic_mutex<Ground>::spin(core::thread& self) noexcept {
  const core::worker& on = Ground::worker();
  const std::uintptr_t no_use = on.processor != nullptr ? waiters | starving : starving;
  for (unsigned pauses = 1 + on.spins_max / 16; pauses <= on.spins_max; pauses *= 2) {
    for (unsigned i = 0; i < pauses; ++i) base::spin_hint();
    // relaxed: only a look
    if ((word_.load(base::relaxed) & no_use) != 0) return false;
    if (take(self)) return true;
  }
  return false;
}

// Barging into a crowd, and the unlock after it: small functions, for a hot lock runs them alone.
template <class Ground>
void basic_mutex<Ground>::lock_flagged(core::thread& self) noexcept {
  if (!take(self)) lock_slowly(self, base::deadline::never());
}

template <class Ground>
void basic_mutex<Ground>::unlock_flagged(std::uintptr_t seen) noexcept {
  const std::uintptr_t self = name_of(Ground::self());
  if ((seen & ~waiters) == (self | waking) && looks_away_ > 1) {
    --looks_away_;
    // release: pairs with whoever takes the mutex next
    if (word_.compare_exchange_strong(seen, seen & flags, base::release, base::relaxed)) return;
  }
  unlock_slowly(seen, self);
}

template <class Ground>
bool basic_mutex<Ground>::lock_within(const base::wait_limit& limit) noexcept {
  core::thread& self = Ground::self();
  if (take_plain(self)) return true;
  if (!limit.stop().stop_possible()) return take(self) || lock_slowly(self, limit.until());
  const alarm stop(self, limit.stop());
  return take(self) || lock_slowly(self, limit.until(), &stop);
}

template <class Ground>
bool basic_mutex<Ground>::lock_slowly(core::thread& self, base::deadline until,
                                      const alarm* stop) noexcept {
  // relaxed: only we could have written our name
  if (owner_in(word_.load(base::relaxed)) == name_of(self)) {
    const bool limited = stop != nullptr || !until.is_never();
    fail_misuse(limited ? "try_lock (with a limit)" : "lock",
                "the calling thread holds it already");
  }
  return spin(self) || wait_in_list(self, until, stop);
}

template <class Ground>
bool basic_mutex<Ground>::wait_in_list(core::thread& self, base::deadline until,
                                       const alarm* stop) noexcept {
  const std::int64_t since = Ground::now();
  bool was_woken = false;
  for (;;) {
    lock_waiter node(self, since);
    const std::int64_t now = was_woken ? Ground::now() : since;
    Ground::worker().note_lock_wait(now);
    if (!enqueue(node, was_woken, now)) {
      if (was_woken ? take_woken(self, false) : take(self)) return true;
      continue;
    }
    if (!Ground::wait(node, until, stop) && give_up(node)) return false;
    // relaxed: a mutex handed over was made ours before the grant
    if (owner_in(word_.load(base::relaxed)) == name_of(self)) return true;
    was_woken = true;
    if (take_woken(self, false)) return true;
    if (Ground::has_passed(until) || (stop != nullptr && stop->has_rung())) {
      return take_woken(self, true);
    }
  }
}

// Puts the node in the list, at the front for a waiter that was woken in vain. False when the
// mutex is free and nobody is on the way to it: nobody would wake us; or when nobody would end the
// wait at its limit any more.
template <class Ground>
bool basic_mutex<Ground>::enqueue(lock_waiter& node, bool was_woken, std::int64_t now) noexcept {
  const bool lost_patience = was_woken && now - node.since > mutex_patience_nanoseconds;
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  if (node.missed_limit) return false;
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (owner_in(seen) == 0 && (was_woken || (seen & starving) == 0)) return false;
    std::uintptr_t wanted = seen | waiters;
    if (was_woken) wanted &= ~waking;
    if (lost_patience) wanted |= starving;
    // relaxed: the list is published by list_lock_
    if (word_.compare_exchange_weak(seen, wanted, base::relaxed, base::relaxed)) break;
  }
  if (lost_patience) overdue_before_ = now - mutex_patience_nanoseconds;
  if (was_woken) {
    node.popped = false;  // not before: take_out() would take it out of a list that it is not in
    list_.push_front(node);
  } else {
    list_.push_back(node);
  }
  return true;
}

template <class Ground>
bool basic_mutex<Ground>::take_out(lock_waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  if (node.popped) {
    node.missed_limit = true;
    return false;
  }
  list_.remove(node);
  // relaxed: the list is published by list_lock_
  if (list_.empty()) word_.fetch_and(~waiters, base::relaxed);
  return true;
}

template <class Ground>
bool basic_mutex<Ground>::lock_or_enlist(lock_waiter& node) noexcept {
  core::thread& self = *node.who;
  // relaxed: only we could have written our name
  if (owner_in(word_.load(base::relaxed)) == name_of(self)) {
    fail_misuse("lock", "the calling task holds it already");
  }
  while (!take(self)) {
    if (enqueue(node, false, node.since)) return false;
  }
  return true;
}

template <class Ground>
typename basic_mutex<Ground>::after_grant basic_mutex<Ground>::go_on(lock_waiter& node,
                                                                     bool expired) noexcept {
  core::thread& self = *node.who;
  // relaxed: a mutex handed over was made ours before the grant
  if (owner_in(word_.load(base::relaxed)) == name_of(self)) return after_grant::ours;
  for (;;) {
    if (take_woken(self, expired)) return after_grant::ours;
    if (expired) return after_grant::gave_up;
    node.granted.store(false, base::relaxed);  // relaxed: in no list, only we look at it
    if (enqueue(node, true, Ground::now())) return after_grant::listed_again;
    expired = has_missed_limit(node);
  }
}

template <class Ground>
bool basic_mutex<Ground>::has_missed_limit(const lock_waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  return node.missed_limit;
}

// After a time-out or a stop: true when the node has left the list; false when it was popped, and
// then the grant has come.
template <class Ground>
bool basic_mutex<Ground>::give_up(lock_waiter& node) noexcept {
  if (take_out(node)) return true;
  Ground::wait(node, base::deadline::never(), nullptr);
  return false;
}

// A look at the clock, now and then. The holder's unlock only, while waking is set.
template <class Ground>
bool basic_mutex<Ground>::woken_one_is_overdue() noexcept {
  const std::int64_t now = Ground::now();
  const std::int64_t elapsed = now - looked_at_;
  looked_at_ = now;
  if (elapsed > mutex_look_nanoseconds * 2) {
    stride_ = 1;
  } else if (elapsed < mutex_look_nanoseconds && stride_ < mutex_stride_max) {
    stride_ *= 2;
  }
  looks_away_ = stride_;
  if (now - woken_since_ <= mutex_patience_nanoseconds) return false;
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  overdue_before_ = now - mutex_patience_nanoseconds;
  return true;
}

// Frees a mutex for which nobody need be woken. False when somebody must be.
template <class Ground>
bool basic_mutex<Ground>::free_it(std::uintptr_t& seen) noexcept {
  const bool overdue =
      (seen & (waking | starving)) == waking && --looks_away_ == 0 && woken_one_is_overdue();
  while ((seen & waking) != 0 || (seen & waiters) == 0) {
    std::uintptr_t wanted = seen & flags;
    if ((seen & waking) == 0) {
      wanted = 0;
    } else if (overdue) {
      wanted |= starving;
    }
    // release: pairs with whoever takes the mutex next
    if (word_.compare_exchange_weak(seen, wanted, base::release, base::relaxed)) return true;
  }
  return false;
}

template <class Ground>
void basic_mutex<Ground>::unlock_slowly(std::uintptr_t seen, std::uintptr_t self) noexcept {
  if (owner_in(seen) != self) {
    fail_misuse("unlock", "the calling thread does not hold it");
  }
  for (;;) {
    if (free_it(seen)) return;
    waiter* first = nullptr;
    bool hand_over = false;
    {
      const base::guard<typename Ground::list_lock> hold(list_lock_);
      first = list_.pop_front();
      // relaxed, all: the list is published by list_lock_, and we hold the mutex
      if (list_.empty()) word_.fetch_and(~waiters, base::relaxed);
      if (first != nullptr) {
        const std::int64_t since = static_cast<lock_waiter*>(first)->since;
        if ((word_.load(base::relaxed) & starving) != 0) {
          hand_over = since <= overdue_before_;
          if (!hand_over) word_.fetch_and(~starving, base::relaxed);
        }
        woken_since_ = since;
      }
    }
    seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    if (first == nullptr) continue;    // gave up just now
    // From here on the list lock is not touched: when the word is free, the mutex may be destroyed.
    std::uintptr_t wanted;
    do {
      wanted = (seen & flags) | (hand_over ? name_of(*first->who) : waking);
      // release: pairs with whoever takes the mutex next
    } while (!word_.compare_exchange_weak(seen, wanted, base::release, base::relaxed));
    Ground::grant(*first);
    return;
  }
}

}  // namespace treadle::sync
