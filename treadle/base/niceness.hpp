// What a process without privileges may tell the kernel about how urgent one of its threads is: the
// nice value of SCHED_OTHER, and the class SCHED_IDLE. Both can be worsened by everybody, but made
// better again only up to RLIMIT_NICE or with CAP_SYS_NICE.
// Any kernel thread. errno is left alone.
#pragma once

#include <sys/types.h>

namespace treadle::base {

struct urgency {
  int nice = 0;            // added to the process's own
  bool only_idle = false;  // SCHED_IDLE: when nobody else wants the CPU
};

// For the kernel thread `which`, of this process; 0 or an errno.
[[nodiscard]] int set_urgency(pid_t which, urgency wanted) noexcept;

}  // namespace treadle::base
