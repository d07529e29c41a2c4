// Scaling by unit, and line breaking.
#include "treadle/lab/human.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <span>

namespace treadle::lab {
namespace {

struct step {
  double at;  // from this value on
  std::string_view name;
};

constexpr std::array time_steps{step{0, "ns"}, step{1e3, "us"}, step{1e6, "ms"}, step{1e9, "s"}};
constexpr std::array size_steps{step{0, "B"}, step{1024, "KiB"}, step{1048576, "MiB"},
                                step{1073741824, "GiB"}, step{1099511627776, "TiB"}};
constexpr std::array rate_steps{step{0, ""}, step{1e3, "k"}, step{1e6, "M"}, step{1e9, "G"}};

// Three significant digits, never an exponent, groups of three for large whole numbers.
std::string digits(double value) {
  const double size = std::fabs(value);
  if (size >= 1000) {
    std::string text = fmt::format("{:.0f}", value);
    const std::size_t first = text.front() == '-' ? 1 : 0;
    for (std::size_t place = text.size(); place > first + 3;) {
      place -= 3;
      text.insert(place, ",");
    }
    return text;
  }
  if (value == std::floor(value)) return fmt::format("{:.0f}", value);
  if (size >= 100) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.1f}", value);
  if (size >= 0.1) return fmt::format("{:.2f}", value);
  std::string text = fmt::format("{:.6f}", value);
  text.resize(text.find_last_not_of('0') + 1);  // there is another digit, as value is no whole one
  return text;
}

const step& fitting(std::span<const step> steps, double value) {
  const step* found = &steps.front();
  for (const step& each : steps) {
    // 0.9995: 999.6 ns is shown as 1.00 us, not as 1,000 ns.
    if (std::fabs(value) >= each.at * 0.9995) found = &each;
  }
  return *found;
}

double scaled(double value, const step& by) { return by.at > 0 ? value / by.at : value; }

}  // namespace

std::string human(double value, std::string_view unit) {
  if (!std::isfinite(value)) return "-";
  if (unit == "ns") {
    const step& by = fitting(time_steps, value);
    return fmt::format("{} {}", digits(scaled(value, by)), by.name);
  }
  if (unit == "B") {
    const step& by = fitting(size_steps, value);
    return fmt::format("{} {}", digits(scaled(value, by)), by.name);
  }
  if (unit.ends_with("/s")) {
    const step& by = fitting(rate_steps, value);
    if (by.name.empty()) return fmt::format("{} {}", digits(value), unit);
    return fmt::format("{} {} {}", digits(scaled(value, by)), by.name, unit);
  }
  if (unit.empty()) return digits(value);
  return fmt::format("{} {}", digits(value), unit);
}

std::string wrapped(std::string_view text, std::size_t width, std::string_view indent) {
  std::string lines;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (column > 0 && column + 1 + word.size() > width) {
      lines += '\n';
      column = 0;
    }
    if (column == 0) {
      lines += indent;
      column = indent.size();
    } else {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += word.size();
  }
  return lines;
}

}  // namespace treadle::lab
