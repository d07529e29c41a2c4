// `treadle run --pure`: many-to-one as the textbook has it, whose library knows nothing of system
// calls that block. They go to the kernel as they are and stop all threads; only locks, yields and
// joins, which such a library has itself, let others run.
//
// So that such a program says what it shows instead of hanging, the attendant is its watchdog:
// where a call has blocked for as long as was asked for while other threads could run, it says so,
// once for each call. A call that has no end of its own ends the program then.
// Rejected: a kernel thread for the watchdog (the attendant has nothing else to do); an end without
// a look whether others could run (a server that waits for its next customer stops nobody).
#pragma once

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

// Sourced: docs/shim.md; 1 and 2 have other meanings.
inline constexpr int status_of_watchdog = 3;
// Guess: often enough for a limit in seconds.
inline constexpr long watchdog_look_nanoseconds = 50'000'000;

// Runtime's side. What may block, under --pure.
long serve_purely(saved_call& call) noexcept;

// By the attendant, every `watchdog_look_nanoseconds`.
void look_who_blocks() noexcept;

}  // namespace treadle::shim
