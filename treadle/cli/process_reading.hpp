// What /proc says about a process and its descendants while they run.
//
// A look is of no one moment, and a process may be gone before it is read: then it counts nothing.
#pragma once

#include <sys/types.h>

#include <vector>

namespace treadle::cli {

struct process_reading {
  unsigned kernel_threads = 0;  // of all of them together
  double memory_bytes = 0;      // most that any one of them has had in memory (VmHWM)
};

process_reading read_processes(pid_t first);

// Of the calling process.
std::vector<pid_t> own_children();

}  // namespace treadle::cli
