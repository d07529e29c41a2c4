// Memory of quantities, and probes.
#include "treadle/lab/lab_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "treadle/lab/child.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// A probe is a part of one experiment's run; this bound is below the whole run's own.
constexpr std::chrono::seconds probe_limit_quick{20};
constexpr std::chrono::seconds probe_limit{60};

}  // namespace

nlohmann::json to_json_object(const quantities& from) {
  nlohmann::json made = nlohmann::json::object();
  for (const auto& [name, value] : from) {
    made[name] = {value.median, value.lowest, value.highest, value.count};
  }
  return made;
}

quantities quantities_from_json(const nlohmann::json& from) {
  quantities made;
  for (const auto& [name, value] : from.items()) {
    made[name] = {value.at(0).get<double>(), value.at(1).get<double>(), value.at(2).get<double>(),
                  value.at(3).get<unsigned>()};
  }
  return made;
}

lab_context::lab_context(treadle::model model, bool quick, quantities known, outlet out)
    : model_(model), quick_(quick), known_(std::move(known)), out_(std::move(out)) {}

std::chrono::nanoseconds lab_context::span() const {
  // guess: long enough that a timer tick (1 to 10 ms) is a small part of it.
  return quick_ ? std::chrono::milliseconds(15) : std::chrono::milliseconds(50);
}

unsigned lab_context::width() {
  const sample found = quantity("width", [] {
    const runtime sized{{.model = model::many_to_many}};
    return sample::once(sized.width());
  });
  return static_cast<unsigned>(found.median);
}

unsigned lab_context::processors() {
  const unsigned cpus = thread::hardware_concurrency();
  return model_ == model::many_to_many ? std::min(cpus, width()) : cpus;
}

sample lab_context::quantity(const std::string& name, const std::function<sample()>& measure) {
  if (const auto found = known_.find(name); found != known_.end()) return found->second;
  progress("measuring " + name);
  const sample measured = measure();
  known_.emplace(name, measured);
  if (out_.quantity) out_.quantity(name, measured);
  return measured;
}

void lab_context::report(const row& made) {
  if (out_.row) out_.row(made);
}

void lab_context::report_shared(const row& made) {
  report(unless_disturbed(made, others_.share()));
}

void lab_context::progress(const std::string& text) {
  if (out_.progress) out_.progress(text);
}

void lab_context::attempt(const char* quantity, void (*part)(lab_context&)) {
  progress(quantity);
  try {
    part(*this);
  } catch (const std::exception& error) {
    report(not_run(of(quantity, "ns"), error.what()));
  }
}

subject lab_context::of(std::string quantity, std::string unit, std::string plot,
                        std::string label) const {
  return {model_name(), std::move(quantity), std::move(unit), std::move(plot), std::move(label)};
}

nlohmann::json lab_context::run_probe(std::string_view name, const nlohmann::json& request) {
  nlohmann::json answer;
  const std::string trouble =
      run_child({{"kind", "probe"}, {"name", name}, {"request", request}},
                quick_ ? probe_limit_quick : probe_limit, [&](const nlohmann::json& record) {
                  if (record.contains("answer")) answer = record.at("answer");
                  if (record.contains("error")) {
                    throw std::runtime_error(record.at("error").get<std::string>());
                  }
                });
  if (!trouble.empty()) throw std::runtime_error(fmt::format("the probe '{}' {}", name, trouble));
  if (!answer.is_object())
    throw std::runtime_error(fmt::format("the probe '{}' said nothing", name));
  return answer;
}

std::string named(std::string_view name, double value, std::string_view unit) {
  return fmt::format("{} = {}", name, human(value, unit));
}

}  // namespace treadle::lab
