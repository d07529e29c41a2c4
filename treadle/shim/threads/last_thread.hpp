// The last of the program's threads ends: so does the process.
//
// libc ends a process when its count of threads is at zero; but it counts the runtime's kernel
// threads, too, so that the last thread leaves like all others. It goes on in exit() instead, as
// libc would have had it a moment before: handlers of atexit() run, output is written.
// Where a thread has left by a system call of the program's own, libc's count is too high natively,
// too: then the process ends with the last one's status, and without all that.
// Rejected: to correct libc's count. It is not ours alone to write: a thread that ends while the
// runtime makes a kernel thread would end the process too early, or not at all.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// How the process ends if the calling thread, which ends, is its last.
enum class [[nodiscard]] last_act{not_last, goes_on, ends};

// Where it goes on, the call does so in exit().
last_act act_as_last(saved_call& call) noexcept;

}  // namespace treadle::shim
