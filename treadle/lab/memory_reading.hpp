// What memory a process and its kernel side occupy now, from /proc.
//
// The process's own part comes from /proc/self/status. The kernel keeps no count of the kernel
// memory of one process, so that part is the whole machine's (/proc/meminfo) and only a difference
// between two readings means something; work of others in between shows in it as noise.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace treadle::lab {

// All in bytes.
struct memory_reading {
  // This process.
  double address_space = 0;  // VmSize
  double resident = 0;       // VmRSS
  double page_tables = 0;    // VmPTE
  // The whole machine.
  double kernel_stacks = 0;   // KernelStack
  double kernel_objects = 0;  // SUnreclaim: task structures and what hangs on them
};

memory_reading read_memory();

memory_reading operator-(const memory_reading& after, const memory_reading& before);

nlohmann::json to_json_object(const memory_reading& from);
memory_reading memory_from_json(const nlohmann::json& from);

}  // namespace treadle::lab
