// A comparison for the terminal: one table, a bar for each way, and the advice.
#pragma once

#include <string>
#include <vector>

#include "treadle/cli/compare.hpp"

namespace treadle::cli {

// The table's cells, for the page as well: first the heads, then a line for each way that ran.
std::vector<std::string> table_heads();
std::vector<std::string> table_cells(const way_result& of);

std::string comparison_text(const comparison& all);

}  // namespace treadle::cli
