// Columns and line breaks.
#include "treadle/lab/report_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "treadle/lab/human.hpp"

namespace treadle::lab {
namespace {

// Guess: what fits a terminal of 100 columns, and a line of text that is still easy to read.
constexpr std::size_t text_columns = 96;

std::string measured_text(const row& of) {
  return of.measured ? human(*of.measured, of.unit) : "-";
}

std::string predicted_text(const row& of) { return of.shown.empty() ? "-" : of.shown; }

}  // namespace

verdict_count count_verdicts(const std::vector<row>& rows) {
  verdict_count count;
  for (const row& each : rows) {
    switch (each.verdict) {
      case verdict::holds:
        ++count.holds;
        break;
      case verdict::differs:
        ++count.differs;
        break;
      case verdict::not_run:
        ++count.not_run;
        break;
    }
  }
  return count;
}

verdict_count count_verdicts(const lab_result& of) {
  verdict_count sum;
  for (const experiment_result& each : of.experiments) {
    const verdict_count count = count_verdicts(each.rows);
    sum.holds += count.holds;
    sum.differs += count.differs;
    sum.not_run += count.not_run;
  }
  return sum;
}

bool shows_why(const std::vector<row>& rows, std::size_t index) {
  const row& it = rows[index];
  if (it.verdict == verdict::holds) return false;
  return index + 1 == rows.size() || rows[index + 1].why != it.why;
}

std::string text_table(const experiment_result& of) {
  std::size_t quantity = 8;
  std::size_t predicted = 9;
  std::size_t measured = 8;
  for (const row& each : of.rows) {
    quantity = std::max(quantity, each.quantity.size());
    predicted = std::max(predicted, predicted_text(each).size());
    measured = std::max(measured, measured_text(each).size());
  }
  std::string text = fmt::format("{}: {}\n{}\n\n", of.what->id, of.what->title,
                                 wrapped(of.what->claim, text_columns, "  "));
  text += fmt::format("  {:5}  {:{}}  {:>{}}  {:>{}}  verdict\n", "model", "quantity", quantity,
                      "predicted", predicted, "measured", measured);
  for (std::size_t index = 0; index < of.rows.size(); ++index) {
    const row& each = of.rows[index];
    text += fmt::format("  {:5}  {:{}}  {:>{}}  {:>{}}  {}\n", each.model, each.quantity, quantity,
                        predicted_text(each), predicted, measured_text(each), measured,
                        to_string(each.verdict));
    if (shows_why(of.rows, index)) {
      text += wrapped(each.why, text_columns, "           ") + "\n";
    }
  }
  return text + "\n";
}

std::string text_summary(const lab_result& of) {
  const verdict_count count = count_verdicts(of);
  std::string text = fmt::format("summary: {} hold, {} differ, {} not run\n", count.holds,
                                 count.differs, count.not_run);
  std::size_t widest = 0;
  for (const experiment_result& each : of.experiments) {
    widest = std::max(widest, each.what->id.size());
  }
  for (const experiment_result& each : of.experiments) {
    const verdict_count one = count_verdicts(each.rows);
    text += fmt::format("  {:{}}  {:2} hold", each.what->id, widest, one.holds);
    if (one.differs > 0) text += fmt::format(", {} differ", one.differs);
    if (one.not_run > 0) text += fmt::format(", {} not run", one.not_run);
    text += '\n';
  }
  return text;
}

}  // namespace treadle::lab
