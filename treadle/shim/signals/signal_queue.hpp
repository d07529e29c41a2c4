// Signals that are pending, for one thread or for the process.
//
// As the kernel's: of a standard signal one at most, of a real-time signal as many as are sent, the
// lowest number first, of one number the oldest first. A timer that expires again while its signal
// is pending adds to that signal's overrun. All but bits() with the book's lock held.
#pragma once

#include <signal.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::shim {

struct queued_signal;

class signal_queue {
 public:
  constexpr signal_queue() noexcept = default;
  signal_queue(const signal_queue&) = delete;
  signal_queue& operator=(const signal_queue&) = delete;

  // 0, or -EAGAIN: as many real-time signals as RLIMIT_SIGPENDING allows are pending. A standard
  // one for which there is no memory is pending without its details.
  long add(const siginfo_t& info) noexcept;
  // False when none of the set is pending.
  bool take(std::uint64_t set, siginfo_t& out) noexcept;
  void move_to(signal_queue& other, std::uint64_t set) noexcept;
  void clear() noexcept;

  // seq_cst, as all changes: a sender adds and then looks who waits; a waiter does the reverse, and
  // one of them sees the other
  std::uint64_t bits() const noexcept { return bits_.load(base::seq_cst); }

 private:
  queued_signal* find(int number) const noexcept;
  void remove(queued_signal& one) noexcept;

  base::atomic<std::uint64_t> bits_{0};
  queued_signal* first_ = nullptr;
  queued_signal* last_ = nullptr;
};

}  // namespace treadle::shim
