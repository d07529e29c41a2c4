// The futex of a word that is explored, for structures that are written against base/futex.hpp.
// Nobody wakes for no reason, and no time passes: who is not woken sleeps, which the explorer sees.
#pragma once

#include <cstdint>

#include "tests/support/interleave.hpp"
#include "treadle/base/clock.hpp"

namespace treadle::interleave {

inline void futex_wait(const explored_atomic<std::uint32_t>& word, std::uint32_t expected,
                       base::deadline) noexcept {
  word.wait(expected);
}
inline void futex_wake(explored_atomic<std::uint32_t>& word) noexcept { word.notify_all(); }

}  // namespace treadle::interleave
