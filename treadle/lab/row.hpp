// One line of a result table: what was predicted, what was measured, and the verdict.
//
// Invariants: `why` is never empty; a row that was not run has no measurement; `model` is "m:1",
// "1:1" or "m:n". The seven public fields are what the JSON file holds; the others only help to
// show a row and stay inside the command.
// Rejected: a verdict "unclear". A row that cannot be judged says not run, and why.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace treadle::lab {

enum class verdict { holds, differs, not_run };

std::string_view to_string(verdict value);

struct row {
  std::string model;
  std::string quantity;
  std::string unit;
  std::optional<double> predicted;
  std::optional<double> measured;
  lab::verdict verdict = lab::verdict::not_run;
  std::string why;

  std::string shown;  // the prediction for people: "<= 12 us", "5 us to 15 us"; empty: none
  std::string plot;   // the plot this row belongs to; empty: none
  std::string label;  // its place on that plot's axis; empty: model and quantity
};

// The seven public fields, as the JSON file has them.
nlohmann::json public_json(const row& from);

// All fields: how a row travels from the process that measured it.
nlohmann::json travelling_json(const row& from);
row row_from_json(const nlohmann::json& from);

}  // namespace treadle::lab
