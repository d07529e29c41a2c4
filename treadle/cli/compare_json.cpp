// The comparison as JSON: docs/compare.md lists the fields.
#include <fmt/format.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "treadle/cli/compare_advice.hpp"
#include "treadle/cli/compare_report.hpp"

namespace treadle::cli {
namespace {

nlohmann::json digest_json(const text_digest& of) {
  return {{"bytes", of.bytes}, {"hash", fmt::format("{:016x}", of.hash)}};
}

nlohmann::json run_json(const watched_run& of) {
  nlohmann::json made{{"wall_ns", of.wall_ns},
                      {"user_ns", of.user_ns},
                      {"system_ns", of.system_ns},
                      {"memory_bytes", of.memory_bytes},
                      {"voluntary_switches", of.voluntary},
                      {"involuntary_switches", of.involuntary},
                      {"kernel_threads", nullptr},
                      {"calls_avoided", nullptr},
                      {"exit_status", nullptr},
                      {"signal", nullptr},
                      {"stdout", digest_json(of.out)},
                      {"stderr", digest_json(of.err)}};
  if (of.kernel_threads > 0) made["kernel_threads"] = of.kernel_threads;
  if (of.avoided) made["calls_avoided"] = *of.avoided;
  if (WIFEXITED(of.status)) made["exit_status"] = WEXITSTATUS(of.status);
  if (WIFSIGNALED(of.status)) made["signal"] = WTERMSIG(of.status);
  return made;
}

nlohmann::json sample_json(const lab::sample& of) {
  return {{"median", of.median}, {"lowest", of.lowest}, {"highest", of.highest}};
}

// true, false, or null where native runs differ among themselves.
nlohmann::json sameness_json(sameness of) {
  if (of == sameness::varies) return nullptr;
  return of == sameness::same;
}

nlohmann::json way_json(const way_result& of) {
  nlohmann::json made{{"way", of.name}, {"runs", nlohmann::json::array()}, {"not_run", nullptr}};
  if (!of.why_not.empty()) made["not_run"] = of.why_not;
  for (const watched_run& each : of.runs) made["runs"].push_back(run_json(each));
  if (!of.ran()) return made;
  made["wall_ns"] = sample_json(of.wall_ns);
  made["user_ns"] = sample_json(of.user_ns);
  made["system_ns"] = sample_json(of.system_ns);
  made["memory_bytes"] = sample_json(of.memory_bytes);
  made["same_status"] = sameness_json(of.status);
  made["same_stdout"] = sameness_json(of.out);
  made["same_stderr"] = sameness_json(of.err);
  return made;
}

}  // namespace

nlohmann::json comparison_json(const compare_plan& plan, const comparison& all,
                               const lab::machine_facts& machine) {
  nlohmann::json ways{way_json(all.native)};
  for (const way_result& each : all.models) ways.push_back(way_json(each));
  const advice given = advise(all);
  return {{"machine", lab::machine_json(machine, {})},
          {"program", plan.program},
          {"runs", plan.runs},
          {"ways", std::move(ways)},
          {"advice", {{"way", given.way}, {"sentence", given.sentence}}}};
}

}  // namespace treadle::cli
