// Verdicts and the words that go with them.
#include "treadle/lab/prediction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "treadle/lab/human.hpp"

namespace treadle::lab {
namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();

std::string_view words(sense value) {
  switch (value) {
    case sense::at_most:
      return "at most ";
    case sense::at_least:
      return "at least ";
    case sense::about:
    case sense::between:
      break;
  }
  return "";
}

// The same in a narrow column: "<= 12 us", "~ 1.3 M/s".
std::string shown(const prediction& predicted, std::string_view unit) {
  std::string value = human(predicted.value, unit);
  switch (predicted.sense) {
    case sense::at_most:
      return predicted.value == 0 ? value : "<= " + value;
    case sense::at_least:
      return ">= " + value;
    case sense::between:
      return fmt::format("{} to {}", human(predicted.lowest, unit), human(predicted.highest, unit));
    case sense::about:
      break;
  }
  return value;
}

// "at most 12 us", "5 us to 15 us", "1.3 M/s within a factor of 2".
std::string wanted(const prediction& predicted, std::string_view unit) {
  if (predicted.sense == sense::between) {
    return fmt::format("{} to {}", human(predicted.lowest, unit), human(predicted.highest, unit));
  }
  std::string text = fmt::format("{}{}", words(predicted.sense), human(predicted.value, unit));
  if (predicted.factor > 1) text += fmt::format(", within a factor of {:g}", predicted.factor);
  if (predicted.slack > 0) text += fmt::format(", give or take {}", human(predicted.slack, unit));
  return text;
}

std::string spread(const sample& measured, std::string_view unit) {
  if (measured.count < 2) return {};
  return fmt::format("; median of {}, {} to {}", measured.count, human(measured.lowest, unit),
                     human(measured.highest, unit));
}

std::string compared(const prediction& predicted, double measured, std::string_view unit) {
  if (predicted.sense == sense::between || !(predicted.value > 0) || !(measured > 0)) return {};
  // A ratio of times or rates helps; of counts it only repeats the two numbers.
  if (unit.empty()) return {};
  return fmt::format(" ({:.3g} times the prediction)", measured / predicted.value);
}

}  // namespace

prediction about(double value, double factor, std::string basis, double slack) {
  const double below = value > 0 ? value / factor : value * factor;
  const double above = value > 0 ? value * factor : value / factor;
  return {sense::about, value, below - slack, above + slack, factor, slack, std::move(basis)};
}

prediction at_most(double value, double factor, std::string basis, double slack) {
  return {sense::at_most, value, -no_limit,       value * factor + slack,
          factor,         slack, std::move(basis)};
}

prediction at_least(double value, double factor, std::string basis, double slack) {
  return {sense::at_least, value, value / factor - slack, no_limit,
          factor,          slack, std::move(basis)};
}

prediction between(double lowest, double highest, std::string basis) {
  return {sense::between, std::sqrt(lowest * highest), lowest, highest, 1, 0, std::move(basis)};
}

bool accepts(const prediction& predicted, double measured) {
  return measured >= predicted.lowest && measured <= predicted.highest;
}

row judge(const subject& of, const prediction& predicted, const sample& measured,
          std::string_view note) {
  if (!std::isfinite(measured.median)) return not_run(of, predicted, "no finite measurement");
  row made;
  made.model = of.model;
  made.quantity = of.quantity;
  made.unit = of.unit;
  made.predicted = predicted.value;
  made.shown = shown(predicted, of.unit);
  made.measured = measured.median;
  made.verdict = accepts(predicted, measured.median) ? verdict::holds : verdict::differs;
  made.why = fmt::format("predicted {} ({}), measured {}{}{}", wanted(predicted, of.unit),
                         predicted.basis, human(measured.median, of.unit),
                         compared(predicted, measured.median, of.unit), spread(measured, of.unit));
  if (!note.empty()) made.why += fmt::format("; {}", note);
  made.plot = of.plot;
  made.label = of.label;
  return made;
}

row not_run(const subject& of, std::string_view why) {
  row made;
  made.model = of.model;
  made.quantity = of.quantity;
  made.unit = of.unit;
  made.verdict = verdict::not_run;
  made.why = why.empty() ? "no reason was given" : why;
  made.plot = of.plot;
  made.label = of.label;
  return made;
}

row not_run(const subject& of, const prediction& predicted, std::string_view why) {
  row made = not_run(of, why);
  made.predicted = predicted.value;
  made.shown = shown(predicted, of.unit);
  return made;
}

}  // namespace treadle::lab
