// How many CPUs the process may really use: the default number of processors of model m:n.
//
// It is the smaller of the CPUs in the calling thread's affinity mask and the CPU quota of its
// control group, rounded up (1.5 CPUs need two kernel threads to be used up). Quotas bind on every
// level, so the smallest on the path from the process's own group up to the root counts; both
// versions of control groups are read, as both are still mounted together on many machines.
//
// Costs a system call and the reading of a few files (measured: 20 us): for the start of a runtime,
// not for every thread. Any kernel thread may call; allocates nothing. What cannot be read or
// understood is no limit. Mount points other than /sys/fs/cgroup are not looked for.
// Source: cgroups(7), the kernel's cgroup-v2.rst (cpu.max) and sched-bwc.rst (cpu.cfs_quota_us).
#pragma once

#include <string_view>

namespace treadle::base {

// At least 1.
[[nodiscard]] unsigned usable_width() noexcept;

// The CPUs in the calling thread's affinity mask; at least 1.
[[nodiscard]] unsigned affinity_width() noexcept;

// The quota of the control groups that `membership` (the process's /proc/self/cgroup) lists, in
// CPUs rounded up; 0 when there is no limit. `mount_root` is where they are mounted.
[[nodiscard]] unsigned cgroup_limit(std::string_view membership,
                                    std::string_view mount_root) noexcept;

}  // namespace treadle::base
