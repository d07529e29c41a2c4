// Words for wrong arguments.
#include "treadle/cli/complaint.hpp"

#include <fmt/format.h>

#include "treadle/cli/standard_streams.hpp"

namespace treadle::cli {

std::string complaint(std::string_view setting, std::string_view value, std::string_view allowed) {
  return fmt::format("{} is \"{}\", allowed are {}", setting, value, allowed);
}

void print_complaint(std::string_view command, std::string_view message) {
  constexpr std::string_view library_name = "treadle: ";
  if (message.starts_with(library_name)) message.remove_prefix(library_name.size());
  say(fmt::format("{}: {}\n", command, message));
}

}  // namespace treadle::cli
