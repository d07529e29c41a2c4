// Where a command line stops being the command's own and becomes the program's that it starts.
//
// The program gets its words as they were written. Rejected: CLI11 collects them, which splits
// "[a,b]" at the comma and takes "[:upper:]" out of its brackets.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace treadle::cli {

// Whether this option ("--model") has a value, which then may be the next word.
using takes_value = std::function<bool(const std::string& option)>;

// Cuts the program and its arguments off `words`, which begin with the command's name, and returns
// them: what stands behind "--", or begins with the first word that is neither an option nor the
// value of one.
std::vector<std::string> cut_program(std::vector<std::string>& words, const takes_value& takes);

}  // namespace treadle::cli
