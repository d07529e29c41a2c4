// Checking the arguments, looking at everything, writing the report.
#include "treadle/cli/doctor_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "treadle/cli/complaint.hpp"
#include "treadle/cli/doctor_finding.hpp"
#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/output_file.hpp"
#include "treadle/cli/standard_streams.hpp"
#include "treadle/lab/human.hpp"

namespace treadle::cli {
namespace {

// Guess: what a terminal is always wide enough for.
constexpr std::size_t columns = 96;

std::string_view word_for(standing state) {
  switch (state) {
    case standing::best:
      return "best";
    case standing::reduced:
      return "reduced";
    case standing::absent:
      break;
  }
  return "absent";
}

// "    uses       io_uring for files", wrapped under itself.
std::string line(std::string_view label, std::string_view text) {
  const std::string indent(24, ' ');
  std::string out = lab::wrapped(text, columns, indent);
  const std::string head = fmt::format("      {:<18}", label);
  out.replace(0, head.size(), head);
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

}  // namespace

std::vector<finding> examine() {
  return {find_settings(),    find_kernel(),      find_cpu(),         find_width(),
          find_guards(),      find_map_count(),   find_overcommit(),  find_solo_mode(),
          find_activation(),  find_perf_ring(),   find_task_file(),   find_idle_class(),
          find_epoll(),       find_io_uring(),    find_descriptors(), find_clock(),
          find_system_call(), find_threads_max(), find_pid_max(),     find_thread_room()};
}

std::string doctor_text(const std::vector<finding>& found) {
  std::string out = "Treadle " TREADLE_VERSION ": what this machine allows\n";
  std::string_view group;
  for (const finding& each : found) {
    if (each.group != group) {
      group = each.group;
      out += fmt::format("\n{}\n", group);
    }
    // An ASCII mark in front, so that eyes and grep find what could be better.
    const char mark = each.state == standing::best ? '+' : '!';
    std::string first = line(each.id, each.found);
    first[2] = mark;
    out += first;
    out += line("  Treadle uses", each.uses);
    if (!each.advice.empty()) out += line("  to get more", each.advice);
  }
  const auto good = std::count_if(found.begin(), found.end(),
                                  [](const finding& each) { return each.state == standing::best; });
  out += fmt::format("\n{} of {} are as good as they get here\n", good, found.size());
  return out;
}

nlohmann::json doctor_json(const std::vector<finding>& found) {
  nlohmann::json all = nlohmann::json::array();
  for (const finding& each : found) {
    all.push_back(
        {{"id", each.id},
         {"group", each.group},
         {"state", word_for(each.state)},
         {"found", each.found},
         {"uses", each.uses},
         {"advice", each.advice.empty() ? nlohmann::json(nullptr) : nlohmann::json(each.advice)},
         {"facts", each.facts}});
  }
  return {{"treadle", TREADLE_VERSION}, {"findings", std::move(all)}};
}

int doctor_command(const doctor_arguments& arguments) {
  std::optional<output_file> json;
  try {
    if (!arguments.json_file.empty()) json.emplace("--json", arguments.json_file);
  } catch (const std::invalid_argument& error) {
    print_complaint("treadle doctor", error.what());
    return exit_usage;
  }
  try {
    const std::vector<finding> found = examine();
    print(doctor_text(found));
    if (json) json->write(json_text(doctor_json(found)));
  } catch (const std::invalid_argument& error) {  // a TREADLE_* variable
    print_complaint("treadle doctor", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    print_complaint("treadle doctor", error.what());
    return exit_failed;
  }
  return exit_good;
}

}  // namespace treadle::cli
