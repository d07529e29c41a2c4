// Events: something that has happened or not, and threads that wait for it.
#pragma once

#include "treadle/sync/raw_event.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// Stays set until reset(): once set, it lets in everybody.
//   set      lets go all who wait, and all who come until reset(); never parks
//   reset    who waits then, or comes later, waits for the next set()
//   wait     parks until it is set; returns at once when it is
//   try_wait with a limit: false when the limit came first. Without: never parks
// Happens-before: set() before the return of every wait that it lets go, and before is_set() that
// sees it. Whoever has returned from a wait may destroy the event; is_set() does not say that.
// Cancellation: try_wait() with a stop token in its limit.
// Misuse is fatal: destroying it under waiters.
// Source: Win32's events; .NET's ManualResetEventSlim.
class manual_reset_event {
 public:
  constexpr explicit manual_reset_event(bool set = false) noexcept : raw_(set) {}
  manual_reset_event(const manual_reset_event&) = delete;
  manual_reset_event& operator=(const manual_reset_event&) = delete;

  void set() noexcept { raw_.set(); }
  void reset() noexcept { raw_.reset(); }
  bool is_set() const noexcept { return raw_.is_set(); }
  void wait() { raw_.wait(); }
  bool try_wait() noexcept { return raw_.try_wait(); }
  bool try_wait(const wait_limit& limit) { return raw_.wait(limit); }

 private:
  friend struct co::access;
  sync::raw_manual_reset_event raw_;
};

// Is used up by one wait: each set() lets go one thread, the longest waiter, or the next to come
// when nobody waits. Two sets with nobody between them are one: use a semaphore to count.
// The rest is as in manual_reset_event. No arriving thread overtakes one that waits, and no set()
// is lost to a wait that gives up.
class auto_reset_event {
 public:
  constexpr explicit auto_reset_event(bool set = false) noexcept : raw_(set) {}
  auto_reset_event(const auto_reset_event&) = delete;
  auto_reset_event& operator=(const auto_reset_event&) = delete;

  void set() noexcept { raw_.set(); }
  void reset() noexcept { raw_.reset(); }
  bool is_set() const noexcept { return raw_.is_set(); }
  void wait() { raw_.wait(); }
  bool try_wait() noexcept { return raw_.try_wait(); }
  bool try_wait(const wait_limit& limit) { return raw_.wait(limit); }

 private:
  friend struct co::access;
  sync::raw_auto_reset_event raw_;
};

}  // namespace treadle
