// --model M,...: which models, in Treadle's own order.
#pragma once

#include <string>
#include <vector>

#include "treadle/runtime.hpp"

namespace treadle::cli {

// Of no names: all. Each once, however often it was named. std::invalid_argument names a wrong one.
std::vector<treadle::model> chosen_models(const std::vector<std::string>& names);

}  // namespace treadle::cli
