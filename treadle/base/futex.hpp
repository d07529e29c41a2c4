// The kernel's one waiting primitive, process-private. Source: futex(2).
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"

namespace treadle::base {

// Blocks the kernel thread while `word` holds `expected`, until woken or `until` has passed.
// Returns for no reason at times; callers loop on their own condition. Keeps errno.
void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected,
                deadline until = deadline::never()) noexcept;

// Wakes up to `count` kernel threads that wait on `word`. The word's memory may already serve
// something else: a stray wake is harmless to a waiter that loops. Keeps errno.
void futex_wake(const atomic<std::uint32_t>& word, int count = 1) noexcept;

}  // namespace treadle::base
