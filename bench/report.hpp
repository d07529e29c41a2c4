// From repetitions to rows, and from rows to the table on the screen and the JSON file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalogue.hpp"
#include "measure.hpp"

namespace treadle::bench {

struct row {
  const workload* work = nullptr;
  std::string peer;
  unsigned workers = 1;
  std::vector<double> samples;      // in the row's unit
  std::vector<double> units;        // f in the round of each sample, in nanoseconds
  std::string clock;                // "cpu", "wall" or "memory"
  double wall_over_cpu = 0;         // far above the number of workers' share: the machine was busy
  std::string note;                 // what is particular about the way this row was measured
  std::string why_not;              // not run, and why; then there are no samples
  double f_nanoseconds = 0;         // the median of the units; 0: f was not measured
  double receive_nanoseconds = 0;   // the same for a receive without a select
  double single_nanoseconds = 0;    // the same row with one worker
  double cas_pair_nanoseconds = 0;  // the same for the bare pair, where it was measured
};

double median(std::vector<double> values);

/// Fills samples and the two fields about the clock.
void take_samples(row& one, const std::vector<repetition>& repetitions);

/// The median of what the samples would be at f = 5.5 ns. A time scales with f; of a critical
/// section with a fixed length only the rest scales.
double at_reference(const row& one);

/// No bar or no figure: nothing.
std::optional<bool> reached(const row& one);

void print_table(const std::vector<row>& rows);
std::string to_json(const std::vector<row>& rows);

}  // namespace treadle::bench
