// What wakes a monitor that sleeps while all workers are idle.
//
// The monitor reads the bell before it looks at what is rung for, and waits with what it has read:
// who rings after that look ends the wait. A worker that begins rings only when it sees the monitor
// dormant, as most find it awake: of a worker, which leaves the idle book and then looks here, and
// a monitor, which says that it is dormant and then looks at the book, one sees the other.
// Rejected: reading the bell again just before the sleep (a member that rang for its probe between
// the look and that was met only when some worker began).
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/futex.hpp"

namespace treadle::core {

template <template <class> class Atomic = base::atomic>
class basic_monitor_bell {
 public:
  // ---- anybody ----

  // The next wait ends, or the present one.
  void ring() noexcept {
    dormant_.store(0, base::seq_cst);   // others need not ring, too
    rung_.fetch_add(1, base::seq_cst);  // pairs with look(), before what the monitor looks at
    using base::futex_wake;
    futex_wake(rung_);
  }
  // By a worker, after it has left the idle book: seq_cst, see the file head.
  bool is_dormant() const noexcept { return dormant_.load(base::seq_cst) != 0; }

  // ---- the monitor ----

  // Before it looks at anything.
  std::uint32_t look() const noexcept { return rung_.load(base::seq_cst); }  // see ring()
  // Until somebody has rung since look().
  void wait(std::uint32_t looked, base::deadline until) noexcept {
    using base::futex_wait;
    futex_wait(rung_, looked, until);
  }
  // Around a wait without limit, and before the last look at who is idle.
  void begin_sleep() noexcept { dormant_.store(1, base::seq_cst); }  // as is_dormant()
  void end_sleep() noexcept {
    dormant_.store(0, base::relaxed);  // relaxed: a ring too many does no harm
  }

 private:
  Atomic<std::uint32_t> rung_{0};  // a futex
  Atomic<std::uint32_t> dormant_{0};
};

using monitor_bell = basic_monitor_bell<>;

}  // namespace treadle::core
