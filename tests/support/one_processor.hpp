// A runtime in which whoever keeps the processor keeps it from all others.
#pragma once

#include <treadle/runtime.hpp>

namespace treadle::testing_support {

inline runtime_options one_processor(activation level) {
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.width = 1;
  wanted.activation = level;
  return wanted;
}

}  // namespace treadle::testing_support
