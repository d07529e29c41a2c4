// Reading and picking apart the kernel's text files.
#include "treadle/lab/file_text.hpp"

#include <charconv>
#include <fstream>
#include <iterator>

namespace treadle::lab {
namespace {

std::optional<std::uint64_t> number_in(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t\n");
  if (start == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + start, text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data() + start) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> file_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::optional<std::uint64_t> file_number(const std::string& path) {
  const std::optional<std::string> text = file_text(path);
  return text ? number_in(*text) : std::nullopt;
}

std::optional<std::string> field_text(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    if (!line.starts_with(key)) continue;
    std::string_view rest = line.substr(key.size());
    // "model name<tab>: x" has blanks before its colon.
    const std::size_t colon = rest.find_first_not_of(" \t");
    if (colon == std::string_view::npos || rest[colon] != ':') continue;
    rest.remove_prefix(colon + 1);
    const std::size_t start = rest.find_first_not_of(" \t");
    if (start == std::string_view::npos) return std::string();
    return std::string(rest.substr(start, rest.find_last_not_of(" \t") - start + 1));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> field_number(std::string_view text, std::string_view key) {
  const std::optional<std::string> rest = field_text(text, key);
  return rest ? number_in(*rest) : std::nullopt;
}

}  // namespace treadle::lab
