// Merge sort by structured fork-join.
//
// scope::spawn() runs the child at once and leaves the rest of the parent to be stolen, so the
// program is written as the serial one and needs no task list. Nothing outlives its scope.
#include <treadle/treadle.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

namespace {

// Below this many values a thread costs more than it saves (guess: about 10 us of sorting).
constexpr std::size_t serial_size = 512;

void merge_sort(std::span<std::uint32_t> values, std::span<std::uint32_t> scratch) {
  if (values.size() <= serial_size) {
    std::sort(values.begin(), values.end());
    return;
  }
  const std::size_t half = values.size() / 2;
  {
    treadle::scope both;
    both.spawn([&] { merge_sort(values.first(half), scratch.first(half)); });
    merge_sort(values.subspan(half), scratch.subspan(half));
    both.join();
  }
  std::merge(values.begin(), values.begin() + half, values.begin() + half, values.end(),
             scratch.begin());
  std::copy(scratch.begin(), scratch.end(), values.begin());
}

}  // namespace

int main() {
  std::vector<std::uint32_t> values(200'000);
  std::uint32_t seed = 1;
  for (std::uint32_t& value : values) value = seed = seed * 1664525u + 1013904223u;
  std::vector<std::uint32_t> expected = values;
  std::vector<std::uint32_t> scratch(values.size());

  treadle::runtime::current().run([&] { merge_sort(values, scratch); });

  std::sort(expected.begin(), expected.end());
  const bool sorted = values == expected;
  std::printf("%zu values: %s\n", values.size(), sorted ? "sorted" : "NOT sorted");
  return sorted ? 0 : 1;
}
