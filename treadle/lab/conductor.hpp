// Runs the chosen experiments, one child process for each experiment and model, one at a time.
//
// Why one at a time: two measurements at once would measure each other. Whatever happens in a
// child, the lab goes on: rows that are missing become one row that says what became of them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "treadle/lab/experiment.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/row.hpp"

namespace treadle::lab {

struct lab_plan {
  std::vector<const experiment*> chosen;
  std::vector<treadle::model> models;
  bool quick = false;
};

struct experiment_result {
  const experiment* what = nullptr;
  std::vector<row> rows;
};

struct lab_result {
  std::vector<experiment_result> experiments;
  quantities known;
};

struct lab_observer {
  std::function<void(const std::string&)> progress;
  std::function<void(const experiment_result&)> finished;
};

lab_result run_lab(const lab_plan& plan, const lab_observer& observer);

// The child's side: runs the request and returns its exit status.
int serve_request(std::string_view request);

}  // namespace treadle::lab
