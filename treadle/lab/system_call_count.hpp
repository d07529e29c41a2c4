// Counting the system calls of a piece of code, from outside, so that the code is not changed.
//
// A probe runs under ptrace(2) in a process of its own and calls mark() before and after the piece.
// Every system call of every kernel thread of that process stops for the tracer, which counts the
// ones between the marks. Times mean nothing there; counts do.
// Rejected: getrusage's context switches (a futex call that does not sleep is none); a seccomp
// filter (it can stop a call, but not count it without a tracer); perf's tracepoints (need root).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace treadle::lab {

struct system_call_count {
  std::uint64_t by_marker = 0;  // all calls of the kernel thread that set the marks
  std::uint64_t futex = 0;      // futex calls of all kernel threads
};

// Throws std::system_error when the machine does not allow tracing, std::runtime_error when the
// probe fails or does not set both marks.
system_call_count count_system_calls(std::string_view probe, const nlohmann::json& request);

// In the probe.
void mark_start();
void mark_end();

}  // namespace treadle::lab
