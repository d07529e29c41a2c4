// The futex calls of the program, served among its threads: no kernel thread ever waits.
//
// Waiters queue by address in buckets; a node lies on its waiter's side stack and is out of its
// queue before the waiter goes on. First come, first served. A futex that is shared with another
// process wakes in the kernel, too, and its waiters look again every 20 ms.
// Results are the kernel's: a number, or a negative errno.
#pragma once

#include <cstdint>

#include "treadle/base/clock.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// Guess: seldom enough to cost nothing, often enough for a lock between processes.
inline constexpr std::int64_t shared_look_nanoseconds = 20'000'000;

// When who waits until then for a word that other processes share looks at it again.
inline base::deadline next_shared_look(base::deadline until) noexcept {
  const std::int64_t next = base::monotonic_now() + shared_look_nanoseconds;
  return until.is_never() || next < until.nanoseconds() ? base::deadline::at(next) : until;
}

long serve_futex(saved_call& call) noexcept;

// As FUTEX_WAKE: at most `count` of those who wait with one of `bits`.
long wake_futex(std::uint32_t* word, unsigned count, std::uint32_t bits) noexcept;

}  // namespace treadle::shim
