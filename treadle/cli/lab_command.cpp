// Checking the arguments, running the lab, writing the files.
#include "treadle/cli/lab_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "treadle/cli/complaint.hpp"
#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/model_list.hpp"
#include "treadle/cli/output_file.hpp"
#include "treadle/cli/progress_line.hpp"
#include "treadle/cli/standard_streams.hpp"
#include "treadle/lab/conductor.hpp"
#include "treadle/lab/machine.hpp"
#include "treadle/lab/report_html.hpp"
#include "treadle/lab/report_json.hpp"
#include "treadle/lab/report_text.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {
namespace {

std::string known_experiments() {
  std::string names;
  for (const lab::experiment* each : lab::experiments()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each->id);
  }
  return names;
}

std::vector<const lab::experiment*> chosen_experiments(const std::vector<std::string>& only) {
  for (const std::string& id : only) {
    if (lab::find_experiment(id) == nullptr) {
      throw std::invalid_argument(complaint("--only", id, known_experiments()));
    }
  }
  // In the lab's own order, each once, however they were named.
  std::vector<const lab::experiment*> chosen;
  for (const lab::experiment* each : lab::experiments()) {
    if (only.empty() || std::find(only.begin(), only.end(), each->id) != only.end()) {
      chosen.push_back(each);
    }
  }
  return chosen;
}

int list() {
  for (const lab::experiment* each : lab::experiments()) {
    print(fmt::format("{:20}{}\n", each->id, each->title));
  }
  return exit_good;
}

struct checked_arguments {
  lab::lab_plan plan;
  std::optional<output_file> json;
  std::optional<output_file> report;
};

void check(const lab_arguments& arguments, checked_arguments& into) {
  static_cast<void>(resolve({}));  // throws for a bad TREADLE_* variable
  into.plan = {chosen_experiments(arguments.only), chosen_models(arguments.models),
               arguments.quick};
  if (!arguments.json_file.empty()) into.json.emplace("--json", arguments.json_file);
  if (!arguments.report_file.empty()) into.report.emplace("--report", arguments.report_file);
  refuse_one_file_for_two(into.json, into.report);
}

void run(const lab_arguments& arguments, checked_arguments& checked) {
  const lab::machine_facts machine = lab::read_machine();
  if (const std::string warning = lab::busy_warning(machine); !warning.empty()) {
    print(fmt::format("note: {}\n\n", warning));
  }
  progress_line progress;
  const lab::lab_result result =
      lab::run_lab(checked.plan, {.progress = [&](const std::string& text) { progress.show(text); },
                                  .finished =
                                      [&](const lab::experiment_result& done) {
                                        progress.clear();
                                        print(lab::text_table(done));
                                        std::fflush(stdout);
                                      }});
  progress.clear();
  print(lab::text_summary(result));
  if (checked.json) checked.json->write(json_text(lab::json_report(result, machine)));
  if (checked.report) {
    checked.report->write(lab::html_report(result, machine));
    print(fmt::format("report: {}\n", arguments.report_file));
  }
}

}  // namespace

int lab_command(const lab_arguments& arguments) {
  if (arguments.list) return list();
  checked_arguments checked;
  try {
    check(arguments, checked);
  } catch (const std::invalid_argument& error) {
    print_complaint("treadle lab", error.what());
    return exit_usage;
  }
  try {
    run(arguments, checked);
  } catch (const std::exception& error) {
    print_complaint("treadle lab", error.what());
    return exit_failed;
  }
  return exit_good;
}

}  // namespace treadle::cli
