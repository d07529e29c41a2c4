// nanosleep and clock_nanosleep.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

long serve_sleep(saved_call& call) noexcept;

}  // namespace treadle::shim
