#include "treadle/cli/compare_advice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace treadle::cli {
namespace {

using ways = std::vector<const way_result*>;

// Guess: a smaller difference is nobody's reason to change how a program is run.
constexpr double least_gain = 0.05;
// With fewer runs nobody knows what they differ by among themselves.
constexpr unsigned runs_needed = 3;

// A model's result that is not the native one's, in words; empty: it is the same.
std::string fault_of(const way_result& of) {
  if (!of.ran()) return "does not run it";
  if (of.status == sameness::other) return "ends it with " + of.ending;
  if (of.out == sameness::other || of.err == sameness::other) return "gives another output";
  return {};
}

// All of them less than all native ones, and the middle of them by enough.
bool is_less(const lab::sample& of, const lab::sample& native) {
  return of.highest < native.lowest && of.median < native.median * (1 - least_gain);
}

// Not longer than native runs take, or by so little that nobody cares.
bool is_as_fast(const lab::sample& of, const lab::sample& native) {
  return of.median <= std::max(native.highest, native.median * (1 + least_gain));
}

const way_result* best_by(const ways& from, lab::sample way_result::*quantity) {
  const auto found = std::min_element(from.begin(), from.end(), [&](const auto* a, const auto* b) {
    return (a->*quantity).median < (b->*quantity).median;
  });
  return found == from.end() ? nullptr : *found;
}

std::string output_words(const way_result& of) {
  return of.out == sameness::varies || of.err == sameness::varies
             ? "with an output that varies natively, too"
             : "with the same output";
}

advice keep_native(const std::string& why) { return {"native", "keep native: " + why}; }

std::string faults(const ways& of) {
  if (of.empty()) return "1:1 is native already";
  std::vector<std::string> words;
  for (const way_result* each : of) {
    words.push_back(fmt::format("{} {}", each->name, fault_of(*each)));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

advice advise(const comparison& all) {
  const way_result& native = all.native;
  if (native.status == sameness::varies) {
    return keep_native("it ends with " + native.ending + " there, so that results differ anyway");
  }
  ways others;  // that are something else than native
  for (const way_result& each : all.models) {
    if (!each.is_native) others.push_back(&each);
  }
  ways good = others;
  std::erase_if(good, [](const way_result* each) { return !fault_of(*each).empty(); });
  if (good.empty()) return keep_native(faults(others));
  if (native.wall_ns.count < runs_needed) {
    return keep_native(fmt::format("for more, {} runs of each are needed (--runs)", runs_needed));
  }
  const way_result& fastest = *best_by(good, &way_result::wall_ns);
  const double ratio = native.wall_ns.median / fastest.wall_ns.median;
  if (is_less(fastest.wall_ns, native.wall_ns)) {
    return {fastest.name, fmt::format("use {}: {:.2f} times as fast as native, {}", fastest.name,
                                      ratio, output_words(fastest))};
  }
  std::erase_if(good,
                [&](const way_result* each) { return !is_as_fast(each->wall_ns, native.wall_ns); });
  const way_result* const thriftiest = best_by(good, &way_result::cpu_ns);
  if (thriftiest != nullptr && is_less(thriftiest->cpu_ns, native.cpu_ns)) {
    const double part = thriftiest->cpu_ns.median / native.cpu_ns.median;
    return {thriftiest->name,
            fmt::format("use {}: as fast as native for {:.0f} % of its CPU time, {}",
                        thriftiest->name, 100 * part, output_words(*thriftiest))};
  }
  return keep_native(fmt::format(
      "no model is clearly faster or thriftier; {}, the fastest, takes {:.2f} times as long",
      fastest.name, 1 / ratio));
}

}  // namespace treadle::cli
