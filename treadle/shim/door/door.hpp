// What door_x86_64.S offers to C++, and what it asks for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"

extern "C" {
#pragma GCC visibility push(hidden)
// For patched sites only: their registers are no function's.
void treadle_shim_door();
void treadle_shim_straight();
void treadle_shim_any();
void treadle_shim_site();
extern const char treadle_shim_straight_end[];
// By number: a way (calls.hpp). Filled before the last two are used.
extern std::uint8_t treadle_shim_ways[512];
[[noreturn]] void treadle_shim_go(treadle::shim::saved_call* where) noexcept;
// The program's side. Not noexcept: cancellation unwinds through it.
long treadle_shim_call(long number, long a, long b, long c, long d, long e, long f);
void treadle_shim_handler();
void treadle_shim_restorer();
void treadle_shim_once_more();  // enters the door again; see there
void treadle_shim_go_back();    // the door's way out, with the saved call at the stack pointer
extern const char treadle_shim_text_begin[];
extern const char treadle_shim_head_end[];  // so far the program's registers are its own
extern const char treadle_shim_leaving_begin[];
extern const char treadle_shim_leaving_end[];
extern const char treadle_shim_allowed_begin[];
extern const char treadle_shim_allowed_end[];

// Not 0 from the start of the process to its first new thread: the door then hands a thread's
// creation to treadle_shim_serve() though nothing else is served yet.
extern std::uint8_t treadle_shim_armed;

// sides_in_use while the program's threads are ours: a futex call of the runtime's side may then be
// about a lock of libc's that a thread of the program's waits for, or has. sides_of_child in a
// child that fork() made: a lock may then be owned by a thread that only its parent knows.
extern std::uint8_t treadle_shim_two_sides;
// Any kernel thread, outside the program, amid libc's code. The six arguments; the result.
long treadle_shim_outside_futex(const long* arguments) noexcept;

// Runtime's side, on the side stack. Does the call and leaves its result in `number`.
void treadle_shim_serve(treadle::shim::saved_call* call) noexcept;
// Runtime's side: the last thing before the program goes on from `where`, on this kernel thread.
void treadle_shim_take_seat(treadle::shim::saved_call* where) noexcept;
#pragma GCC visibility pop
}

namespace treadle::shim {

enum : std::uint8_t { sides_in_use = 1, sides_of_child = 2 };

// The door's own number for the end of a handler of the program's; no system call's.
inline constexpr long call_end_of_handler = 0x40000000;
// For calls that were trapped (trap.cpp): a creation whose registers are those of a ucontext_t.
inline constexpr long call_trapped_clone = 0x40000001;

// Nothing: for the look at signals on the way back.
inline constexpr long call_look = 0x40000002;
// A trapped change of privileges that does not come from libc's own functions.
inline constexpr long call_raw_privileges = 0x40000003;
inline constexpr long call_last = call_raw_privileges;

inline std::size_t allowed_bytes() noexcept {
  return static_cast<std::size_t>(treadle_shim_allowed_end - treadle_shim_allowed_begin);
}

}  // namespace treadle::shim
