// The member functions of basic_inheriting_mutex. Included by raw_inheriting_mutex.cpp and by the
// test that explores them.
#pragma once

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_inheriting_mutex.hpp"

namespace treadle::sync {

template <class Ground>
void basic_inheriting_mutex<Ground>::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  fail_misuse("~priority_inheritance_mutex", "it is locked, or threads wait for it",
              holder_in(word_.load(base::relaxed)));  // relaxed: for the report
}

// "priority_inheritance_mutex::unlock: ..., held by thread 7".
template <class Ground>
void basic_inheriting_mutex<Ground>::fail_misuse(std::string_view call, std::string_view text,
                                                 const core::thread* holder) noexcept {
  char buffer[192];  // the longest call, text and number are 140 together
  std::size_t size = 0;
  const auto add = [&](std::string_view part) {
    for (const char each : part) buffer[size++] = each;
  };
  add("priority_inheritance_mutex::");
  add(call);
  const std::size_t text_begins = size;
  add(text);
  if (holder != nullptr) {
    add(", held by thread ");
    char digits[10];  // of 32 bits
    std::size_t count = 0;
    std::uint32_t left = holder->id;
    do {
      digits[count++] = static_cast<char>('0' + left % 10);
      left /= 10;
    } while (left != 0);
    while (count != 0) buffer[size++] = digits[--count];
  }
  base::fail_misuse({buffer, text_begins}, {buffer + text_begins, size - text_begins});
}

template <class Ground>
void basic_inheriting_mutex<Ground>::check_not_held(std::string_view call,
                                                    const core::thread& self) const noexcept {
  // relaxed: only we could have written our name
  if (holder_in(word_.load(base::relaxed)) == &self) [[unlikely]]
    fail_misuse(call, "the calling thread holds it already", nullptr);
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::lock_for(std::string_view call, base::deadline until,
                                              const alarm* stop) noexcept {
  core::thread& self = Ground::self();
  check_not_held(call, self);
  Ground::begin_hold(self);
  if (take(self) || wait_in_list(self, until, stop)) return true;
  Ground::end_hold(self);
  return false;
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::lock_within(const base::wait_limit& limit) noexcept {
  if (!limit.stop().stop_possible()) return lock_until(limit.until());
  const alarm stop(Ground::self(), limit.stop());
  return lock_for("try_lock (with a limit)", limit.until(), &stop);
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::try_lock() noexcept {
  core::thread& self = Ground::self();
  Ground::begin_hold(self);
  if (take(self)) return true;
  Ground::end_hold(self);
  return false;
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::wait_in_list(core::thread& self, base::deadline until,
                                                  const alarm* stop) noexcept {
  lending_waiter mine(self);
  if (!queue(mine)) return true;
  if (Ground::wait(mine, until, stop)) return true;
  if (take_out(mine)) return false;
  Ground::wait(mine, base::deadline::never(), nullptr);
  return true;
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::lock_or_enlist(lending_waiter& mine) noexcept {
  check_not_held("lock", *mine.who);
  return take(*mine.who) || !queue(mine);
}

// False when it was free, and is ours.
template <class Ground>
bool basic_inheriting_mutex<Ground>::queue(lending_waiter& mine) noexcept {
  const base::guard hold(Ground::book());
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  for (;;) {
    const bool free = seen == 0;
    const std::uintptr_t wanted = free ? name_of(*mine.who) : seen | waiters;
    // acquire: pairs with unlock() when it is free; else with take(), so that the holder's notes
    // can be read; the book publishes the list
    if (word_.compare_exchange_weak(seen, wanted, base::acquire, base::relaxed)) {
      if (free) return false;
      break;
    }
  }
  loans::begin(mine.lent, source_, *holder_in(seen));
  return true;
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::take_out(lending_waiter& mine) noexcept {
  const base::guard hold(Ground::book());
  if (mine.popped) return false;
  loans::end(mine.lent);
  // relaxed: the list is published by the book
  if (source_.first == nullptr) word_.fetch_and(~waiters, base::relaxed);
  return true;
}

template <class Ground>
void basic_inheriting_mutex<Ground>::unlock() noexcept {
  core::thread& self = Ground::self();
  const bool to_a_higher = unlock_as(self);
  Ground::end_hold(self);
  if (to_a_higher) Ground::give_way();
}

template <class Ground>
bool basic_inheriting_mutex<Ground>::unlock_as(core::thread& holder) noexcept {
  std::uintptr_t seen = name_of(holder);
  // release: pairs with whoever takes the mutex next
  if (word_.compare_exchange_strong(seen, 0, base::release, base::relaxed)) [[likely]]
    return false;
  if (holder_in(seen) != &holder) {
    fail_misuse("unlock", "the calling thread does not hold it", holder_in(seen));
  }
  return pass_on(holder);
}

// Whether the next holder is of a higher level than we are now.
template <class Ground>
bool basic_inheriting_mutex<Ground>::pass_on(core::thread& self) noexcept {
  waiter* next = nullptr;
  bool higher = false;
  {
    const base::guard hold(Ground::book());
    core::loan* chosen = loans::pass_on(source_);
    if (chosen != nullptr) {
      higher = chosen->level > loans::level_of(self).effective;
      next = &static_cast<typename lending_waiter::back_loan*>(chosen)->node;
      next->popped = true;
    }
    const std::uintptr_t more = source_.first != nullptr ? waiters : 0;
    // release: pairs with whoever takes the mutex next. The last touch of the mutex, unless the
    // next one gives up just now: it waits for the book, and touches nothing but its own node.
    word_.store(next != nullptr ? name_of(*next->who) | more : 0, base::release);
  }
  if (next != nullptr) Ground::grant(*next);
  return higher;
}

}  // namespace treadle::sync
