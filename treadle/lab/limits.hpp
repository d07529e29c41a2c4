// What this machine, container and user allow, read before an experiment asks for much: so that a
// row says "not run" with the limit's name instead of driving the machine into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace treadle::lab {

// Bytes that can be taken without swapping or an out-of-memory kill: the least of MemAvailable, the
// room in every memory cgroup above us, and RLIMIT_AS.
double memory_available();

struct thread_room {
  std::uint64_t threads = 0;  // kernel threads that can still be made
  std::string limit;          // what says so: "kernel.pid_max = 32768"
};

// The tightest of kernel.pid_max, kernel.threads-max, RLIMIT_NPROC and the pids cgroups.
thread_room kernel_thread_room();

// Why `threads` kernel threads cannot be made here; nothing when they can.
std::optional<std::string> why_no_kernel_threads(std::uint64_t threads);

// Why `bytes` more memory should not be taken here; nothing when there is a third to spare.
std::optional<std::string> why_no_memory(double bytes);

}  // namespace treadle::lab
