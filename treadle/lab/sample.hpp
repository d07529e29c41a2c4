// Repetition: a number measured several times, kept as its median and its two ends.
//
// Why the median: on a machine with other work, one repetition in a few is disturbed, always
// upwards; the mean would carry that and the minimum would hide what is normal. The ends are kept
// so that a reader sees the spread.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace treadle::lab {

struct sample {
  double median = 0;
  double lowest = 0;
  double highest = 0;
  unsigned count = 0;

  // One number that was not repeated.
  static sample once(double value) { return {value, value, value, 1}; }
};

// Of at least one value; throws std::invalid_argument for none.
sample summarise(std::vector<double> values);

template <class Measure>
sample repeat(unsigned times, Measure&& measure) {
  std::vector<double> values;
  for (unsigned turn = 0; turn < times; ++turn) values.push_back(measure());
  return summarise(std::move(values));
}

// Every value through `change`; a falling `change` (1/x) swaps the ends.
template <class Change>
sample map(const sample& from, Change&& change) {
  const double one = change(from.lowest);
  const double other = change(from.highest);
  return {change(from.median), one < other ? one : other, one < other ? other : one, from.count};
}

// How many operations last about `target`: `run(n)` performs n and returns nanoseconds. Grows n by
// at most 16 a step, so that a guess that is far off costs little.
template <class Run>
std::uint64_t operations_lasting(std::chrono::nanoseconds target, std::uint64_t first, Run&& run) {
  // guess: no operation of the lab is so cheap that more than this many fit into a target.
  constexpr std::uint64_t operations_max = std::uint64_t{1} << 30;
  const auto wanted = static_cast<double>(target.count());
  std::uint64_t operations = first;
  for (;;) {
    const double took = run(operations);
    if (took >= wanted / 2 || operations >= operations_max) break;
    const double grow = took > 0 ? wanted / took : 16;
    const double factor = grow < 2 ? 2 : (grow > 16 ? 16 : grow);
    operations = static_cast<std::uint64_t>(static_cast<double>(operations) * factor);
  }
  return operations;
}

// Nanoseconds an operation: finds a number of operations that lasts `target`, then repeats that.
template <class Run>
sample cost_each(unsigned times, std::chrono::nanoseconds target, std::uint64_t first, Run&& run) {
  const std::uint64_t operations = operations_lasting(target, first, run);
  return repeat(times, [&] { return run(operations) / static_cast<double>(operations); });
}

}  // namespace treadle::lab
