#include "treadle/sync/raw_mutex.hpp"

#include "treadle/base/check.hpp"

namespace treadle::sync {
namespace {

// Sourced: Go's starvation threshold of 1 ms.
constexpr std::int64_t patience_nanoseconds = 1'000'000;
// Measured (bench mutex_64_L0, two workers): pauses double up to this; short enough not to waste
// a switch's worth of time often, long enough that the holder gets many turns on its own core.
constexpr unsigned pauses_first = 64;
constexpr unsigned pauses_max = 128;

}  // namespace

void raw_mutex::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  fail_misuse("~", "it is locked, or threads wait for it");
}

// "timed_mutex::lock: ..."; the call "~" is the destructor.
void raw_mutex::fail_misuse(std::string_view call, std::string_view text) const noexcept {
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

// Takes a mutex that is free but has waiters.
bool raw_mutex::take_flagged(core::thread& self) noexcept {
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  while (owner_in(seen) == 0) {
    // acquire: pairs with unlock()
    if (word_.compare_exchange_weak(seen, seen | name_of(self), base::acquire, base::relaxed)) {
      return true;
    }
  }
  return false;
}

// The same for the waiter that the waking flag stands for.
bool raw_mutex::take_woken(core::thread& self) noexcept {
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  while (owner_in(seen) == 0) {
    // acquire: pairs with unlock()
    if (word_.compare_exchange_weak(seen, (seen & ~waking) | name_of(self), base::acquire,
                                    base::relaxed)) {
      return true;
    }
  }
  return false;
}

// Only where the holder may be running on another core.
bool raw_mutex::spin(core::thread& self) noexcept {
  if (core::current_worker().spins_max == 0) return false;
  for (unsigned pauses = pauses_first; pauses <= pauses_max; pauses *= 2) {
    for (unsigned i = 0; i < pauses; ++i) base::spin_hint();
    if (take_flagged(self)) return true;
  }
  return false;
}

bool raw_mutex::lock_within(const base::wait_limit& limit) noexcept {
  core::thread& self = core::current_thread();
  if (take_free(self)) return true;
  if (!limit.stop().stop_possible()) return lock_slowly(self, limit.until());
  const core::stop_alarm alarm(self, limit.stop());
  return lock_slowly(self, limit.until(), &alarm);
}

bool raw_mutex::lock_slowly(core::thread& self, base::deadline until,
                            const core::stop_alarm* stop) noexcept {
  // relaxed: only we could have written our name
  if (owner_in(word_.load(base::relaxed)) == name_of(self)) {
    const bool limited = stop != nullptr || !until.is_never();
    fail_misuse(limited ? "try_lock (with a limit)" : "lock",
                "the calling thread holds it already");
  }
  if (take_flagged(self) || spin(self)) return true;
  std::int64_t since = 0;  // when we first queued
  bool was_woken = false;
  for (;;) {
    waiter node(self);
    const std::int64_t now = base::monotonic_now();
    if (since == 0) since = now;
    if (!enqueue(node, now - since > patience_nanoseconds, was_woken)) {
      if (was_woken ? take_woken(self) : take_flagged(self)) return true;
      continue;
    }
    const bool woken = stop == nullptr ? node.wait(core::wait_reason::mutex, until)
                                       : node.wait(core::wait_reason::mutex, until, *stop);
    if (!woken && give_up(node)) return false;
    // relaxed: a mutex handed over was made ours before the grant
    if (owner_in(word_.load(base::relaxed)) == name_of(self)) return true;
    was_woken = true;
    if (take_woken(self)) return true;
    if (until.has_passed() || (stop != nullptr && stop->has_rung())) {
      clear_waking();
      // The flag stood for us; whoever holds the mutex now wakes the next one. If nobody does:
      if (take_flagged(self)) return true;
      return false;
    }
  }
}

// Puts the node in the list, at the front for a waiter that was woken in vain. False when the
// mutex is free: nobody would wake us.
bool raw_mutex::enqueue(waiter& node, bool lost_patience, bool was_woken) noexcept {
  const base::guard hold(list_lock_);
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    if (owner_in(seen) == 0) return false;
    std::uintptr_t wanted = seen | waiters;
    if (was_woken) wanted &= ~waking;
    // relaxed: the list is published by list_lock_
    if (word_.compare_exchange_weak(seen, wanted, base::relaxed, base::relaxed)) break;
  }
  if (was_woken) {
    list_.push_front(node);
    hand_over_ = lost_patience;
  } else {
    list_.push_back(node);
  }
  return true;
}

// After a time-out or a stop: true when the node has left the list; false when it was popped, and
// then the grant has come.
bool raw_mutex::give_up(waiter& node) noexcept {
  {
    const base::guard hold(list_lock_);
    if (!node.popped) {
      list_.remove(node);
      // relaxed: the list is published by list_lock_
      if (list_.empty()) word_.fetch_and(~waiters, base::relaxed);
      return true;
    }
  }
  node.wait(core::wait_reason::mutex, base::deadline::never());
  return false;
}

// The woken waiter goes away without the mutex: an unlock must wake the next one again.
void raw_mutex::clear_waking() noexcept {
  word_.fetch_and(~waking, base::relaxed);  // relaxed: take_flagged() follows and synchronises
}

void raw_mutex::unlock_slowly(std::uintptr_t seen) noexcept {
  const std::uintptr_t self = name_of(core::current_thread());
  if (owner_in(seen) != self) {
    fail_misuse("unlock", "the calling thread does not hold it");
  }
  // Somebody is on the way already, or nobody waits any more: just free it.
  while ((seen & waking) != 0 || (seen & waiters) == 0) {
    // release: pairs with whoever takes the mutex next
    if (word_.compare_exchange_weak(seen, seen & flags, base::release, base::relaxed)) return;
  }
  waiter* first = nullptr;
  bool hand_over = false;
  {
    const base::guard hold(list_lock_);
    first = list_.pop_front();
    hand_over = hand_over_ && first != nullptr;
    hand_over_ = false;
    // relaxed: the list is published by list_lock_
    if (list_.empty()) word_.fetch_and(~waiters, base::relaxed);
  }
  // From here on the list lock is not touched: when the word is free, the mutex may be destroyed.
  seen = word_.load(base::relaxed);
  std::uintptr_t wanted;
  do {
    wanted = seen & flags;
    if (hand_over) {
      wanted |= name_of(*first->who);
    } else if (first != nullptr) {
      wanted |= waking;
    }
    // release: pairs with whoever takes the mutex next
  } while (!word_.compare_exchange_weak(seen, wanted, base::release, base::relaxed));
  if (first != nullptr) first->grant();
}

}  // namespace treadle::sync
