// Numbers for people: three digits and a unit that fits ("12.4 us", "3.1 MiB", "18.2 M/s").
//
// Units that scale: "ns", "B", and any rate "x/s". Everything else is printed as it is.
#pragma once

#include <string>
#include <string_view>

namespace treadle::lab {

std::string human(double value, std::string_view unit);

// Splits a text into lines of at most `width` characters, at spaces; `indent` starts each line.
std::string wrapped(std::string_view text, std::size_t width, std::string_view indent);

}  // namespace treadle::lab
