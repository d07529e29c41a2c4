// The arithmetic and the printing behind report.hpp.
#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace treadle::bench {
namespace {

/// How late the sleepers woke, over all repetitions.
std::string lateness_of(const std::vector<repetition>& repetitions) {
  std::vector<double> medians;
  double worst = 0;
  for (const repetition& one : repetitions) {
    medians.push_back(one.median_late);
    worst = std::max(worst, one.worst_late);
  }
  return fmt::format("none early; late by {:.3g} ms in the median, {:.3g} ms at most",
                     median(medians) * 1e3, worst * 1e3);
}

/// The longest wait for a lock, over all repetitions.
std::string longest_wait_of(const std::vector<repetition>& repetitions) {
  double longest = 0;
  for (const repetition& one : repetitions) longest = std::max(longest, one.longest_wait);
  return fmt::format("longest wait {:.3g} ms", longest * 1e3);
}

double value_of(const row& one) { return median(one.samples); }

bool has_figure(const row& one) { return !one.samples.empty(); }

/// (max - min) / median.
double spread_of(const row& one) {
  const auto [least, most] = std::minmax_element(one.samples.begin(), one.samples.end());
  return (*most - *least) / value_of(one);
}

/// Each sample over the f of its own round, and of these the median: a neighbour on the machine who
/// comes or goes changes both. Only a time can be counted in f.
std::optional<double> in_f(const row& one) {
  if (one.f_nanoseconds <= 0) return std::nullopt;
  const bool tree = one.work->value == quantity::tree_seconds;
  if (!tree && one.work->value != quantity::nanoseconds_each) return std::nullopt;
  std::vector<double> quotients;
  for (std::size_t i = 0; i < one.samples.size(); ++i) {
    quotients.push_back(one.samples[i] * (tree ? 1e9 : 1) / one.units[i]);
  }
  return median(quotients);
}

/// What is compared with the limit, in the limit's unit.
double judged_value(const row& one, const bar& limit) {
  switch (limit.unit) {
    case bar_unit::f:
      return in_f(one).value_or(0);
    case bar_unit::cas_pairs:
      return value_of(one) / one.cas_pair_nanoseconds;
    case bar_unit::receives:
      return value_of(one) / one.receive_nanoseconds;
    case bar_unit::one_worker:
      return value_of(one) / one.single_nanoseconds;
    case bar_unit::millions_at_reference:
    case bar_unit::seconds_at_reference:
      return at_reference(one);
    case bar_unit::nanoseconds:
    case bar_unit::bytes:
    case bar_unit::times_serial_loop:
      return value_of(one);
  }
  return 0;
}

std::string judged_text(const row& one, const bar& limit) {
  const double value = judged_value(one, limit);
  switch (limit.unit) {
    case bar_unit::f:
      return fmt::format("{:.2f} f", value);
    case bar_unit::cas_pairs:
    case bar_unit::receives:
    case bar_unit::one_worker:
      return fmt::format("{:.2f} x", value);
    case bar_unit::millions_at_reference:
      return fmt::format("{:.2f} Mop/s*", value);
    case bar_unit::seconds_at_reference:
      return fmt::format("{:.4f} s*", value);
    case bar_unit::nanoseconds:
      return fmt::format("{:.2f} ns", value);
    case bar_unit::bytes:
      return fmt::format("{:.0f} B", value);
    case bar_unit::times_serial_loop:
      return fmt::format("{:.3f} x", value);
  }
  return {};
}

void print_row(const row& one, bool first) {
  const std::string title = first ? std::string(one.work->name) : std::string();
  if (!has_figure(one)) {
    fmt::print("{:<18} {:>1}  {:<12} not run: {}\n", title, one.workers, one.peer, one.why_not);
    return;
  }
  const auto f = in_f(one);
  const bool in_units_of_f = f && one.work->value == quantity::nanoseconds_each;
  const auto limit = bar_of(*one.work, one.peer, one.workers);
  const auto met = reached(one);
  fmt::print("{:<18} {:>1}  {:<12} {:>10} {:<5} {:>9}  {:>4.0f}%  {:<4}", title, one.workers,
             one.peer, fmt::format("{:.4g}", value_of(one)), one.work->unit,
             in_units_of_f ? fmt::format("{:.2f} f", *f) : "", spread_of(one) * 100, one.clock);
  if (met) {
    fmt::print("  {:<14} {:>14}  {}", to_string(*limit), judged_text(one, *limit),
               *met ? "reached" : "SHORT");
  }
  if (!one.note.empty()) fmt::print("  {}", one.note);
  fmt::print("\n");
}

double sample_at_reference(const workload& work, double value, double unit) {
  const double scale = reference_f_nanoseconds / unit;
  if (work.value == quantity::bytes_each || work.value == quantity::times_serial) return value;
  if (work.value != quantity::millions_a_second) return value * scale;
  const double nanoseconds = 1e3 / value;
  const double inside = work.name == "mutex_64_L100"    ? long_section_nanoseconds
                        : work.name == "mutex_64_L1000" ? loop_body_nanoseconds
                                                        : 0;
  // Below the section's own length (it overlaps with the next) there is no rest to scale.
  const double rest = std::max(0.0, nanoseconds - inside);
  return 1e3 / (nanoseconds - rest + rest * scale);
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void take_samples(row& one, const std::vector<repetition>& repetitions) {
  const bool cpu = one.work->always_cpu || one.workers == 1;
  one.clock = one.work->value == quantity::bytes_each ? "mem" : cpu ? "cpu" : "wall";
  double wall_seconds = 0;
  double cpu_seconds = 0;
  for (const repetition& each : repetitions) {
    one.units.push_back(each.f_nanoseconds);
    const double seconds = cpu ? each.cpu_seconds : each.wall_seconds;
    wall_seconds += each.wall_seconds;
    cpu_seconds += each.cpu_seconds;
    switch (one.work->value) {
      case quantity::nanoseconds_each:
        one.samples.push_back(seconds * 1e9 / each.operations);
        break;
      case quantity::nanoseconds_over:
        one.samples.push_back((seconds - each.serial_seconds) * 1e9 / each.operations);
        break;
      case quantity::millions_a_second:
        one.samples.push_back(each.operations / seconds * 1e-6);
        break;
      case quantity::bytes_each:
        one.samples.push_back(each.bytes / each.operations);
        break;
      case quantity::times_serial:
        one.samples.push_back(each.serial_seconds / each.wall_seconds);
        break;
      case quantity::crowd_seconds:
        one.samples.push_back(seconds * crowd_of_sleepers / each.operations);
        break;
      case quantity::tree_seconds:
        one.samples.push_back(seconds * skynet_spawns / each.operations);
        break;
    }
  }
  one.f_nanoseconds = one.units.empty() ? 0 : median(one.units);
  one.wall_over_cpu = cpu_seconds > 0 ? wall_seconds / cpu_seconds : 0;
  if (one.work->value == quantity::tree_seconds && !repetitions.empty() &&
      repetitions.front().operations < skynet_spawns) {
    one.note = fmt::format("scaled from {:.0f} spawns", repetitions.front().operations);
  }
  if (one.work->value == quantity::crowd_seconds) one.note = lateness_of(repetitions);
  if (one.work->name.starts_with("mutex_64_")) one.note = longest_wait_of(repetitions);
}

double at_reference(const row& one) {
  if (one.f_nanoseconds <= 0) return value_of(one);
  std::vector<double> values;
  for (std::size_t i = 0; i < one.samples.size(); ++i) {
    values.push_back(sample_at_reference(*one.work, one.samples[i], one.units[i]));
  }
  return median(values);
}

std::optional<bool> reached(const row& one) {
  const auto limit = bar_of(*one.work, one.peer, one.workers);
  if (!limit || !has_figure(one)) return std::nullopt;
  if (limit->unit == bar_unit::cas_pairs && one.cas_pair_nanoseconds <= 0) return std::nullopt;
  if (limit->unit == bar_unit::receives && one.receive_nanoseconds <= 0) return std::nullopt;
  if (limit->unit == bar_unit::one_worker && one.single_nanoseconds <= 0) return std::nullopt;
  const bool in_f = limit->unit != bar_unit::bytes && limit->unit != bar_unit::nanoseconds &&
                    limit->unit != bar_unit::times_serial_loop;
  if (in_f && one.f_nanoseconds <= 0) return std::nullopt;
  const double value = judged_value(one, *limit);
  return larger_is_better(*limit) ? value >= limit->limit : value <= limit->limit;
}

void print_table(const std::vector<row>& rows) {
  fmt::print("{:<18} {:>1}  {:<12} {:>10} {:<5} {:>9}  {:>5}  {:<4}  {:<14} {:>14}\n", "workload",
             "w", "peer", "median", "", "in f", "sprd", "of", "to reach", "got");
  const row* before = nullptr;
  int judged = 0;
  std::vector<std::string> fell_short;
  for (const row& one : rows) {
    print_row(one, before == nullptr || before->work != one.work);
    before = &one;
    const bool has_bar = bar_of(*one.work, one.peer, one.workers).has_value();
    judged += has_bar ? 1 : 0;
    if (has_bar && reached(one) != true) {
      fell_short.push_back(fmt::format("{} ({})", one.work->name, one.workers));
    }
  }
  fmt::print("* at f = {:g} ns; w: workers, sprd: (max - min) / median, of: cpu or wall time\n",
             reference_f_nanoseconds);
  fmt::print("{} of {} bars reached{}{}\n", judged - static_cast<int>(fell_short.size()), judged,
             fell_short.empty() ? "" : "; short or not run: ", fmt::join(fell_short, ", "));
}

std::string to_json(const std::vector<row>& rows) {
  auto all = nlohmann::ordered_json::array();
  for (const row& one : rows) {
    nlohmann::ordered_json out = {{"workload", one.work->name}, {"peer", one.peer},
                                  {"workers", one.workers},     {"value", nullptr},
                                  {"unit", one.work->unit},     {"f", nullptr},
                                  {"spread", nullptr}};
    if (!has_figure(one)) {
      out["why"] = one.why_not;
      all.push_back(std::move(out));
      continue;
    }
    out["value"] = value_of(one);
    out["spread"] = spread_of(one);
    if (const auto f = in_f(one)) out["f"] = *f;
    out["f_nanoseconds"] = one.f_nanoseconds;
    out["at_reference_f"] = at_reference(one);
    out["clock"] = one.clock;
    out["wall_over_cpu"] = one.wall_over_cpu;
    out["samples"] = one.samples;
    if (const auto limit = bar_of(*one.work, one.peer, one.workers)) {
      out["to_reach"] = to_string(*limit);
      if (const auto met = reached(one)) {
        out["got"] = judged_text(one, *limit);
        out["reached"] = *met;
      }
    }
    if (!one.note.empty()) out["note"] = one.note;
    all.push_back(std::move(out));
  }
  return all.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace treadle::bench
