// The program's threads begin, end, and make processes.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// Gives the thread a Treadle thread that goes on at `beginning`. 0 or an errno.
[[nodiscard]] int start(program_thread& fresh) noexcept;

// clone and clone3 with CLONE_THREAD; without it, and without CLONE_VM, as fork.
long serve_clone(saved_call& call) noexcept;
// The same, of registers that a trap has saved.
long serve_trapped_clone(saved_call& call) noexcept;

// fork, and clone that makes a process with memory of its own.
long serve_fork(saved_call& call) noexcept;

// The end of the calling thread, of its program's and of its own. The last one goes on in exit().
long serve_exit(saved_call& call) noexcept;

}  // namespace treadle::shim
