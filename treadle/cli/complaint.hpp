// How the command says that an argument is wrong: one line with the setting, the value and what is
// allowed, in the same words as the library's own messages.
#pragma once

#include <string>
#include <string_view>

namespace treadle::cli {

// "--width is "0", allowed are ...".
std::string complaint(std::string_view setting, std::string_view value, std::string_view allowed);

// Writes "treadle lab: ..." to stderr. The library's "treadle: " in front of its own messages is
// left out: the name is there already.
void print_complaint(std::string_view command, std::string_view message);

}  // namespace treadle::cli
