// What follows from the numbers, in one sentence. docs/compare.md has the rules in words.
#pragma once

#include <string>

#include "treadle/cli/compare.hpp"

namespace treadle::cli {

struct advice {
  std::string way;  // "native" or a model's name
  std::string sentence;
};

advice advise(const comparison& all);

}  // namespace treadle::cli
