// How the runtime notices that a worker is blocked in the kernel without having said so.
//
//   proc    - a standby thread per processor, which the kernel runs the moment that the worker
//             stops, asks /proc/self/task/T/syscall;
//   perf    - the same, but it reads the worker's ring of context switches (perf_event_open), which
//             is sooner to read, and costs more for each switch (decision 0035);
//   monitor - no standby thread; the monitor looks every millisecond while somebody waits;
//   off     - only calls that say so themselves (blocking_region) let go of the processor.
// Of the first two, the one that is not asked for stands in where the other is refused. What can be
// had is found out at start and never fatal. Source: "scheduler activations", Anderson,
// Bershad, Lazowska and Levy, SOSP'91, without their kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace treadle::core {

enum class activation_level : std::uint8_t { off, monitor, proc, perf };

constexpr std::string_view to_string(activation_level level) noexcept {
  constexpr std::string_view names[] = {"off", "monitor", "proc", "perf"};
  return names[static_cast<std::size_t>(level)];
}

struct activation_settings {
  activation_level wanted = activation_level::proc;
  std::int64_t slice_nanoseconds = 10'000'000;  // 0: hogs are not preempted
};

// What was found. The reasons are constant texts; empty when nothing better was asked for.
struct activation_report {
  activation_level level = activation_level::off;
  const char* why_not_better = "";
  bool preempts = false;
  const char* why_not_preempting = "";
};

}  // namespace treadle::core
