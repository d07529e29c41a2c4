// POSIX timers whose signal is for one thread; glibc's timers that call a function rest on them.
//
// The kernel knows no thread of ours: such a timer signals the attendant, which sends it on.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

long serve_timer_create(saved_call& call) noexcept;
long serve_timer_delete(saved_call& call) noexcept;
long serve_timer_settime(saved_call& call) noexcept;
long serve_timer_getoverrun(saved_call& call) noexcept;

// A thread has taken a timer's signal.
void note_overrun(int timer, int count) noexcept;

// By the attendant. The number of the thread that the timer's signal is for; 0 if it is for the
// process, `nobody` if the timer has been deleted since it expired.
inline constexpr int nobody = -1;
int thread_of_timer(int timer) noexcept;

}  // namespace treadle::shim
