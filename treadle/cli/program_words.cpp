#include "treadle/cli/program_words.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace treadle::cli {
namespace {

bool is_letter(char each) { return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z'); }

// "-5" and "-" are none: they may be names of programs.
bool is_option(std::string_view word) {
  if (!word.starts_with('-')) return false;
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  return !word.empty() && is_letter(word.front());
}

std::size_t program_begin(const std::vector<std::string>& words, const takes_value& takes) {
  for (std::size_t at = 1; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--") return at + 1;
    if (!is_option(word)) return at;
    if (word.find('=') == word.npos && takes(word)) ++at;
  }
  return words.size();
}

}  // namespace

std::vector<std::string> cut_program(std::vector<std::string>& words, const takes_value& takes) {
  const std::size_t begin = std::min(program_begin(words, takes), words.size());
  const auto first = words.begin() + static_cast<std::ptrdiff_t>(begin);
  std::vector<std::string> program(std::make_move_iterator(first),
                                   std::make_move_iterator(words.end()));
  words.erase(first, words.end());
  return program;
}

}  // namespace treadle::cli
