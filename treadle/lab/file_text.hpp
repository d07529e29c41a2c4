// Small files of /proc and /sys, read whole; a file that cannot be read is nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace treadle::lab {

std::optional<std::string> file_text(const std::string& path);

// The first number of a file; "max" counts as no number.
std::optional<std::uint64_t> file_number(const std::string& path);

// The number behind "key:" at the start of a line, as in /proc/meminfo and /proc/self/status.
std::optional<std::uint64_t> field_number(std::string_view text, std::string_view key);

// The rest of the line behind "key" and a colon, without blanks round it.
std::optional<std::string> field_text(std::string_view text, std::string_view key);

}  // namespace treadle::lab
