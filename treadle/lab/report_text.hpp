// The lab's output on a terminal or in a pipe: a table for each experiment, then a summary.
#pragma once

#include <string>

#include "treadle/lab/conductor.hpp"

namespace treadle::lab {

std::string text_table(const experiment_result& of);
std::string text_summary(const lab_result& of);

// Whether the row at `index` says why below itself: all that do not hold, but a reason only once
// when several rows in a row were not run for the same one.
bool shows_why(const std::vector<row>& rows, std::size_t index);

// What the rows' verdicts add up to.
struct verdict_count {
  std::size_t holds = 0;
  std::size_t differs = 0;
  std::size_t not_run = 0;
};
verdict_count count_verdicts(const std::vector<row>& rows);
verdict_count count_verdicts(const lab_result& of);

}  // namespace treadle::lab
