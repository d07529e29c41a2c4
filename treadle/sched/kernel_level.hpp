// The levels of threads that have a kernel thread of their own, as the kernel sees them: nice
// values, and the class SCHED_IDLE for the lowest.
//
// Which of the two a level needs may be refused (base/niceness.hpp). Then the level is kept all the
// same: inheriting mutexes still go by it. The first refusal is said on standard error.
#pragma once

#include "treadle/thread/thread.hpp"

namespace treadle::core {

// Any kernel thread, for a thread of such a scheduler. 0 or an errno.
int set_kernel_level(thread& which, thread_level wanted) noexcept;

// By the thread itself, first and last: from then to then its kernel thread follows its level.
void begin_kernel_level(thread& self) noexcept;
void end_kernel_level(thread& self) noexcept;

}  // namespace treadle::core
