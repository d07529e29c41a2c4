// Waits until everything that was announced is done.
#pragma once

#include <cstddef>
#include <limits>

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_wait_group.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// A latch that counts up, too, and can be used again.
//   add   announces work, or takes it back when negative; never parks
//   done  one piece of work has ended; never parks
//   wait  parks until the count is zero; returns at once when it is
//   try_wait with a limit: false when the limit came first. Without: never parks
// Call add() before what will call done() is started, or a wait() may see a zero between the two.
// Happens-before: every done() before the return of every wait() that its zero lets go. Whoever has
// returned from wait() may destroy it, if nobody adds any more.
// Cancellation: try_wait() with a stop token in its limit.
// Misuse is fatal: a negative count, destroying it under waiters.
// Source: Go's sync.WaitGroup.
class wait_group {
 public:
  constexpr explicit wait_group(std::ptrdiff_t count = 0) : raw_(count) {
    if (count < 0) base::fail_misuse("wait_group", "the count is negative");
  }
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  void add(std::ptrdiff_t count = 1) noexcept {
    if (count > 0) raw_.add(count);
    if (count >= 0) return;
    // What it says to whom it takes more than there is, whose negative would not fit.
    if (count == std::numeric_limits<std::ptrdiff_t>::min()) {
      base::fail_misuse("wait_group::done", "the count would become negative");
    }
    raw_.done(-count);
  }
  void done() noexcept { raw_.done(1); }
  void wait() { raw_.wait(); }
  bool try_wait() noexcept { return raw_.try_wait(); }
  bool try_wait(const wait_limit& limit) { return raw_.wait(limit); }

 private:
  friend struct co::access;
  sync::raw_wait_group raw_;
};

}  // namespace treadle
