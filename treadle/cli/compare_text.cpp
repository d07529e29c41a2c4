#include "treadle/cli/compare_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "treadle/cli/compare_advice.hpp"
#include "treadle/lab/human.hpp"

namespace treadle::cli {
namespace {

using lab::human;

// Guess: bars that fit a terminal of 80 columns with their numbers.
constexpr double bar_columns = 48;

std::string spread(const lab::sample& of) {
  if (of.count < 2) return "-";
  return human(of.lowest, "ns") + " .. " + human(of.highest, "ns");
}

std::string memory(double bytes) {
  return bytes < memory_known_bytes ? "< " + human(memory_known_bytes, "B") : human(bytes, "B");
}

std::string output_words(const way_result& of) {
  if (of.out == sameness::other)
    return of.err == sameness::other ? "both differ" : "stdout differs";
  if (of.err == sameness::other) return "stderr differs";
  if (of.out == sameness::varies) return of.err == sameness::varies ? "both vary" : "stdout varies";
  return of.err == sameness::varies ? "stderr varies" : "same";
}

std::vector<const way_result*> ways(const comparison& all) {
  std::vector<const way_result*> list{&all.native};
  for (const way_result& each : all.models) list.push_back(&each);
  return list;
}

std::string table(const std::vector<const way_result*>& list) {
  std::vector<std::vector<std::string>> lines{table_heads()};
  for (const way_result* each : list) {
    if (each->ran()) lines.push_back(table_cells(*each));
  }
  // Turned: one column a way fits any terminal, one column a quantity does not.
  std::string text;
  for (std::size_t quantity = 0; quantity < lines.front().size(); ++quantity) {
    text += fmt::format("  {:16}", lines.front()[quantity]);
    for (std::size_t way = 1; way < lines.size(); ++way) {
      std::size_t width = 0;
      for (const std::string& cell : lines[way]) width = std::max(width, cell.size());
      text += fmt::format("  {:>{}}", lines[way][quantity], width);
    }
    text += '\n';
  }
  for (const way_result* each : list) {
    if (!each->ran()) text += fmt::format("  {}: not run: {}\n", each->name, each->why_not);
  }
  for (const way_result* each : list) {
    if (each->ran() && each->is_native) {
      text +=
          fmt::format("  {} is native here: its threads are kernel threads already\n", each->name);
    }
  }
  return text;
}

std::string bars(const std::vector<const way_result*>& list) {
  double longest = 0;
  for (const way_result* each : list) {
    if (each->ran()) longest = std::max(longest, each->wall_ns.median);
  }
  std::string text;
  for (const way_result* each : list) {
    if (!each->ran()) continue;
    const double part = longest > 0 ? each->wall_ns.median / longest : 0;
    const auto columns = static_cast<std::size_t>(std::max(1.0, part * bar_columns + 0.5));
    text += fmt::format("  {:6}  {} {}\n", each->name, std::string(columns, '#'),
                        human(each->wall_ns.median, "ns"));
  }
  return text;
}

}  // namespace

std::vector<std::string> table_heads() {
  return {"",        "wall time", "from .. to",  "user CPU", "system CPU", "peak memory",
          "threads", "voluntary", "involuntary", "avoided",  "ended with", "output"};
}

std::vector<std::string> table_cells(const way_result& of) {
  return {of.name,
          human(of.wall_ns.median, "ns"),
          spread(of.wall_ns),
          human(of.user_ns.median, "ns"),
          human(of.system_ns.median, "ns"),
          memory(of.memory_bytes.median),
          of.kernel_threads.median > 0 ? human(of.kernel_threads.highest, "") : "-",
          human(of.voluntary.median, ""),
          human(of.involuntary.median, ""),
          of.avoided ? human(of.avoided->median, "") : "-",
          of.ending,
          output_words(of)};
}

std::string comparison_text(const comparison& all) {
  const std::vector<const way_result*> list = ways(all);
  return fmt::format("{}\n{}\nadvice: {}\n", table(list), bars(list), advise(all).sentence);
}

}  // namespace treadle::cli
