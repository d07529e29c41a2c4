// wait_limit, the last parameter of calls that block; see treadle/base/wait_limit.hpp.
#pragma once

#include "treadle/base/wait_limit.hpp"

namespace treadle {

using base::wait_limit;

}  // namespace treadle
