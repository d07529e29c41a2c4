// A futex call of the program's, taken apart.
#pragma once

#include <linux/futex.h>
#include <time.h>

#include <cerrno>
#include <cstdint>

#include "treadle/base/clock.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/door/saved_call.hpp"
#include "treadle/shim/program_memory.hpp"

namespace treadle::shim {

struct futex_call {
  explicit futex_call(const saved_call& call) noexcept
      : word(reinterpret_cast<std::uint32_t*>(call.arguments[0])),
        operation(static_cast<int>(call.arguments[1]) & FUTEX_CMD_MASK),
        is_private((call.arguments[1] & FUTEX_PRIVATE_FLAG) != 0),
        by_wall_clock((call.arguments[1] & FUTEX_CLOCK_REALTIME) != 0),
        value(static_cast<std::uint32_t>(call.arguments[2])),
        time(reinterpret_cast<const timespec*>(call.arguments[3])),
        second_count(static_cast<std::uint32_t>(call.arguments[3])),
        second_word(reinterpret_cast<std::uint32_t*>(call.arguments[4])),
        third(static_cast<std::uint32_t>(call.arguments[5])) {}

  std::uint32_t* word;
  int operation;
  bool is_private;
  bool by_wall_clock;
  std::uint32_t value;
  const timespec* time;
  std::uint32_t second_count;
  std::uint32_t* second_word;
  std::uint32_t third;
};

// A negative errno, or 0.
inline long until_of(const futex_call& call, bool absolute, base::deadline& until) noexcept {
  until = base::deadline::never();
  if (call.time == nullptr) return 0;
  timespec time;
  if (!read_program(call.time, time)) return -EFAULT;
  if (!is_valid(time)) return -EINVAL;
  if (!absolute) {
    until = deadline_after(time);
  } else {
    until = deadline_at(call.by_wall_clock ? CLOCK_REALTIME : CLOCK_MONOTONIC, time);
  }
  return 0;
}

}  // namespace treadle::shim
