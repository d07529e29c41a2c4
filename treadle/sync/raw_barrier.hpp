// Phases that end when all have arrived: the state machine behind barrier.
//
// Everything is guarded by lock_. The last to arrive runs the completion with no lock held, between
// arrive() and complete(); nobody else may arrive meanwhile, as nobody is expected any more.
// Whoever arrives, also to wait, passes through lock_ once and does not touch the barrier after it,
// and neither does the last one after complete(): so whoever knows that all have arrived, and has
// returned from wait(), may destroy it, if nobody is at a wait() of its own or at a limit's end.
// Rejected: one atomic word for those who arrive (they all wait right after, with the lock).
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/check.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

using barrier_ground = ground<core::wait_reason::barrier>;

template <class Ground>
class basic_barrier {
 public:
  using phase = std::uint64_t;
  struct arrival {
    phase during;
    bool is_last;  // the caller must run the completion, then complete()
  };

  constexpr explicit basic_barrier(std::ptrdiff_t expected) noexcept
      : expected_(expected), missing_(expected) {}
  ~basic_barrier() {
    if (!list_.empty() && !base::process_is_ending()) {
      base::fail_misuse("barrier::~barrier", "threads still wait at it");
    }
  }
  basic_barrier(const basic_barrier&) = delete;
  basic_barrier& operator=(const basic_barrier&) = delete;

  arrival arrive(std::ptrdiff_t by) noexcept;
  // One less from the next phase on.
  arrival arrive_and_drop() noexcept;
  // Begins the next phase and lets all go that wait for the end of this one.
  void complete() noexcept;
  // Until the phase has ended; the last to arrive does not wait.
  arrival arrive_and_wait() noexcept;
  void wait(phase during) noexcept;
  // False on time-out and stop only.
  bool wait(phase during, const base::wait_limit& limit) noexcept;

  // The parts of a wait, for tasks. The last to arrive is not listed.
  arrival arrive_and_enlist(waiter& node) noexcept;
  // False when the phase has ended.
  bool enlist(waiter& node, phase during) noexcept;
  // False for a node that a granter has taken and will still touch.
  bool take_out(waiter& node) noexcept;

 private:
  arrival count(std::ptrdiff_t by, const char* call) noexcept;

  typename Ground::list_lock lock_;
  // Guarded by lock_.
  phase phase_ = 0;
  std::ptrdiff_t expected_;  // in the next phase
  std::ptrdiff_t missing_;   // in this one
  wait_list list_;
};

extern template class basic_barrier<barrier_ground>;
using raw_barrier = basic_barrier<barrier_ground>;

}  // namespace treadle::sync
