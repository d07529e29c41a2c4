// A program under each model beside its native self: what was measured, and how it is summed up.
//
// The runs take turns (native, m:1, 1:1, m:n, native ...), so that what changes on the machine
// meanwhile changes all of them. A model that cannot run the program, or does not come to an end,
// is not run again.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "treadle/cli/watched_run.hpp"
#include "treadle/lab/sample.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {

struct compare_plan {
  std::vector<std::string> program;  // and its arguments
  std::vector<treadle::model> models;
  unsigned runs = 5;
  std::string workers;  // empty: as the environment says
  std::string input_file = "/dev/null";
  std::chrono::seconds limit{300};
};

enum class sameness { same, other, varies };  // varies: it does natively, too

// All runs of the program in one way.
struct way_result {
  std::string name;  // "native" or the model's
  std::vector<watched_run> runs;
  std::string why_not;     // empty: it ran
  bool is_native = false;  // 1:1 of a program without Treadle: nothing is changed

  // Summed up; of at least one run.
  lab::sample wall_ns;
  lab::sample user_ns;
  lab::sample system_ns;
  lab::sample cpu_ns;  // both
  lab::sample memory_bytes;
  lab::sample kernel_threads;
  lab::sample voluntary;
  lab::sample involuntary;
  std::optional<lab::sample> avoided;
  std::string ending;  // "status 0", "SIGSEGV"; of several, all
  sameness status = sameness::same;
  sameness out = sameness::same;
  sameness err = sameness::same;

  bool ran() const { return why_not.empty() && !runs.empty(); }
};

struct comparison {
  way_result native;
  std::vector<way_result> models;
};

using on_progress = std::function<void(const std::string&)>;

// Throws std::runtime_error when the program does not end natively; `interrupted` passes through.
comparison compare(const compare_plan& plan, const on_progress& progress);

// The program could not be started natively: what it said, and the exit status to end with.
struct not_startable {
  std::string why;
  int exit_status;
};

// Fills in what is summed up; `native` is summed up first. For tests apart from compare().
void sum_up(comparison& all);

}  // namespace treadle::cli
