// What every peer's program in C++ has in common: its arguments, its repetitions, its output.
//
//   PROGRAM WORKLOAD WORKERS REPETITIONS COUNT [MORE]   measures; a line of JSON a repetition
//   PROGRAM --version                                   one line
//
// COUNT is how much one repetition does, MORE what else the workload needs (nanoseconds inside a
// lock). Who starts the program pins it (rounds.py); here is no policy. Exit status 3: the program
// has no such workload. The process ends by _exit(): what the peer left running dies with it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "../../measure.hpp"

namespace treadle::bench {

struct order {
  std::string workload;
  unsigned workers = 1;
  unsigned repetitions = 1;
  long count = 0;
  long more = 0;
};

/// Thrown for a workload that the program does not have.
struct no_such_workload {};

/// Sets the sticky "inexact" flag of the floating-point unit in the calling kernel thread, which is
/// what contexts made by it inherit: see docs/performance.md, "How it is measured".
void level_floating_point_flags();

/// Calls once(), unreported, then as often as was asked for, and ends the process. What takes the
/// memory of a process (`cold`) has no warm-up. Runs on any thread.
[[noreturn]] void report(const order& asked, const std::function<repetition()>& once,
                         bool cold = false);

/// main() of a peer. `measure` chooses the workload, enters the peer's runtime and calls report().
int run_program(int argc, char** argv, std::string_view version,
                void (*measure)(const order& asked));

}  // namespace treadle::bench
