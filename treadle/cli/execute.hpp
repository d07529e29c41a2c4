// Becoming another program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace treadle::cli {

// Comes back only where that fails: with the exit status that shells have for it, after a line on
// standard error that begins with `speaker`.
int execute(std::vector<std::string> words, std::string_view speaker);

}  // namespace treadle::cli
