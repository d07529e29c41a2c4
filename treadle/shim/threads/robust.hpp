// The locks that a thread still holds when it ends (set_robust_list(2)).
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// The kernel's robust_list_head.
struct robust_head {
  robust_head* next;
  long futex_offset;
  robust_head* pending;
};

// Marks them as left by a dead owner and wakes one waiter each. The list is the program's own and
// may be broken: it is read by a system call that fails where there is nothing to read.
void leave_robust_locks(program_thread& ending) noexcept;

}  // namespace treadle::shim
