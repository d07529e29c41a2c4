// The queues behind the futex calls: who waits at which address.
#pragma once

#include <cstdint>

#include "treadle/base/clock.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

enum class [[nodiscard]] queue_end{woken, another_value, timed_out, interrupted, not_there};

// Parks the caller until it is woken at `word`, if that holds `value`; the look and the queueing
// are one step for wakers. A wake-up wins over a time-out and over a signal. The word may be not
// there.
queue_end wait_in_queue(program_thread& self, const std::uint32_t* word, std::uint32_t value,
                        std::uint32_t bits, base::deadline until) noexcept;

struct queue_place {
  const std::uint32_t* word;
  std::uint32_t value;
};
inline constexpr unsigned queue_places_max = 128;  // sourced: FUTEX_WAITV_MAX

// The same at several words at once, until one is woken: `woken` says which, the last of several.
queue_end wait_in_queues(program_thread& self, const queue_place* places, unsigned count,
                         base::deadline until, unsigned& woken) noexcept;

// How many were woken.
long wake_in_queue(const std::uint32_t* word, unsigned count, std::uint32_t bits) noexcept;

}  // namespace treadle::shim
