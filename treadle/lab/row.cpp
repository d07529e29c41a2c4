// Rows as JSON, in both directions.
#include "treadle/lab/row.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace treadle::lab {
namespace {

// JSON has no infinity and no NaN: such a number is no number.
nlohmann::json number(const std::optional<double>& value) {
  if (!value || !std::isfinite(*value)) return nullptr;
  return *value;
}

std::optional<double> optional_number(const nlohmann::json& value) {
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

verdict verdict_from(std::string_view text) {
  for (const verdict value : {verdict::holds, verdict::differs, verdict::not_run}) {
    if (to_string(value) == text) return value;
  }
  throw std::invalid_argument("unknown verdict '" + std::string(text) + "'");
}

}  // namespace

std::string_view to_string(verdict value) {
  switch (value) {
    case verdict::holds:
      return "holds";
    case verdict::differs:
      return "differs";
    case verdict::not_run:
      break;
  }
  return "not run";
}

nlohmann::json public_json(const row& from) {
  return {{"model", from.model},
          {"quantity", from.quantity},
          {"unit", from.unit},
          {"predicted", number(from.predicted)},
          {"measured", number(from.measured)},
          {"verdict", to_string(from.verdict)},
          {"why", from.why}};
}

nlohmann::json travelling_json(const row& from) {
  nlohmann::json made = public_json(from);
  made["shown"] = from.shown;
  made["plot"] = from.plot;
  made["label"] = from.label;
  return made;
}

row row_from_json(const nlohmann::json& from) {
  row made;
  made.model = from.at("model").get<std::string>();
  made.quantity = from.at("quantity").get<std::string>();
  made.unit = from.at("unit").get<std::string>();
  made.predicted = optional_number(from.at("predicted"));
  made.measured = optional_number(from.at("measured"));
  made.verdict = verdict_from(from.at("verdict").get<std::string>());
  made.why = from.at("why").get<std::string>();
  made.shown = from.value("shown", "");
  made.plot = from.value("plot", "");
  made.label = from.value("label", "");
  return made;
}

}  // namespace treadle::lab
