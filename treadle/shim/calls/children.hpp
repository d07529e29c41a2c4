// Waiting for child processes.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// wait4 and waitid. A thread that waits parks: a child that ends or stops raises SIGCHLD, which the
// attendant sees whatever the program does with it.
long serve_wait_for_child(saved_call& call) noexcept;

// By the attendant, at a SIGCHLD.
void wake_parents() noexcept;

}  // namespace treadle::shim
