// errno of the calling thread, wherever it runs now.
//
// Every thread has an errno of its own, and libc's functions find it. But a compiler takes the
// address of errno for a constant within a function, and a thread may go on on another kernel
// thread after any call that waits: code that says `errno` after such a call may then look at
// another thread's. This asks anew each time.
#pragma once

#include "treadle/sched/worker.hpp"

namespace treadle::io {

inline int& own_errno() noexcept { return *core::current_worker().errno_address; }

}  // namespace treadle::io
