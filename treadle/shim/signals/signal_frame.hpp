// Handlers of the program's: how one begins on the way back from a call, and how it ends.
//
// What the thread was about to go on with is copied to its own stack, with what a handler may want
// to see of it; the handler then is what it goes on with. Its end is a call of the door's own
// (serve_end_of_handler() of signals.hpp), which puts the copy back.
#pragma once

#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// Changes `call` so that the thread goes on with the handler.
void run_handler(saved_call& call, const kernel_action& action, const siginfo_t& info) noexcept;

}  // namespace treadle::shim
