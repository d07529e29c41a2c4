// Who gives back the memory of free stacks beyond what arenas keep: whoever puts them back, or
// somebody who keeps them for the next burst of threads and trims what nobody has needed.
// Rejected: trimming by whoever puts back, later (a process that goes quiet puts nothing back).
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::context {

namespace detail {
inline constinit base::atomic<unsigned> surplus_keepers{0};
inline constinit base::atomic<bool> has_surplus{false};
}  // namespace detail

// By an arena that has a surplus: whether to leave it there. Any kernel thread.
inline bool keep_surplus() noexcept {
  // relaxed: a stack more or less
  if (detail::surplus_keepers.load(base::relaxed) == 0) return false;
  // relaxed: a keeper that sleeps looks after all workers have gone to sleep, which orders it
  if (!detail::has_surplus.load(base::relaxed)) detail::has_surplus.store(true, base::relaxed);
  return true;
}

// From begin to end the caller, or another keeper, is to call trim_unused() while it says so.
inline void begin_keeping() noexcept {
  detail::surplus_keepers.fetch_add(1, base::relaxed);  // relaxed: nothing is published
}
// The last one gives the surplus back at once.
void end_keeping() noexcept;

// Whether there may be something to do for a keeper.
inline bool has_surplus() noexcept {
  return detail::has_surplus.load(base::relaxed);  // relaxed: as above
}
// Trims some of what has lain unused in all arenas, for half a millisecond each at most. When to
// come again, on the monotonic clock, in nanoseconds; stack_arena::never when nothing is left.
[[nodiscard]] std::int64_t trim_unused(std::int64_t now) noexcept;

}  // namespace treadle::context
