// Nothing but the documented fields.
#include "treadle/lab/report_json.hpp"

#include <nlohmann/json.hpp>

namespace treadle::lab {

nlohmann::json json_report(const lab_result& of, const machine_facts& machine) {
  nlohmann::json experiments = nlohmann::json::array();
  for (const experiment_result& each : of.experiments) {
    nlohmann::json rows = nlohmann::json::array();
    for (const row& line : each.rows) rows.push_back(public_json(line));
    experiments.push_back({{"id", each.what->id},
                           {"title", each.what->title},
                           {"claim", each.what->claim},
                           {"rows", std::move(rows)}});
  }
  return {{"machine", machine_json(machine, of.known)}, {"experiments", std::move(experiments)}};
}

}  // namespace treadle::lab
