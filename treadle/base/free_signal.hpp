// A real-time signal that the program leaves alone, for purposes of the runtime.
#pragma once

#include <signal.h>

namespace treadle::base {

// Gives the handler, as sigaction(2) with these flags besides SA_SIGINFO and all signals blocked in
// it, to a signal that has none. Its number, another one for each call, or 0 when there is none.
[[nodiscard]] int claim_free_signal(void (*handler)(int, siginfo_t*, void*), int flags) noexcept;

}  // namespace treadle::base
