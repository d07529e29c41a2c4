// futex_waitv(): a wait at several futexes until one of them is woken.
//
// What is wrong with the call, and whether it would wait at all, the kernel says, which is asked
// with a limit in the past. The wait itself is in the queues that the program's wake-ups look at.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

long serve_futex_waitv(saved_call& call) noexcept;

}  // namespace treadle::shim
