// How soon another thread runs after one has blocked in the kernel, without the runtime being told.
//
// Two threads on one processor: one notes the time and blocks in a system call, the other yields
// in a loop and notes when it next has a turn. In M:1 that is when the call has ended, in 1:1 the
// kernel switches to it, in M:N the runtime has to find out.
#pragma once

#include <string>
#include <vector>

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

struct relief_plan {
  double call = 0;   // how long each call blocks, in nanoseconds
  double pause = 0;  // parked between two calls
  unsigned events = 0;
};

struct relief_seen {
  std::vector<double> waits;  // of the other thread, one for each call
  double wall = 0;
  double cpu = 0;   // of the whole process meanwhile
  std::string how;  // how M:N finds out, in words; empty for the other models
};

relief_seen measure_relief(lab_context& lab, const relief_plan& plan);

// How `of` finds out that a thread is blocked, and why not better; empty but for M:N.
std::string detection_words(const runtime& of);

// The value that `part` of them do not exceed. Of at least one.
double quantile(std::vector<double> values, double part);

// The bars for M:N, the aims of its block detection; the texts give no figure.
inline constexpr double relief_aim_median = 15e3;
inline constexpr double relief_aim_p99 = 60e3;

// How long the other thread waits beside a call of that length; `aim` is the bar for M:N.
prediction expected_relief(lab_context& lab, double call, double aim);

}  // namespace treadle::lab
