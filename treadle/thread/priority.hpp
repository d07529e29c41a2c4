// How urgent a thread is.
#pragma once

#include <cstdint>

namespace treadle::core {

// A ready thread of a higher level is taken before those of lower ones, which get a share all the
// same (sched/level_turns.hpp). Guess: five; the names say what each is for.
enum class priority : std::int8_t {
  background = -2,  // when nobody else has anything to do
  low = -1,
  normal = 0,
  high = 1,
  urgent = 2,  // short and rare
};

// An enumeration may hold any number.
constexpr bool is_priority(priority what) noexcept {
  return what >= priority::background && what <= priority::urgent;
}

// In one word, so that both are of one moment.
struct alignas(2) thread_level {
  priority own = priority::normal;        // what it was given
  priority effective = priority::normal;  // that, or more: what it has been lent
};

}  // namespace treadle::core
