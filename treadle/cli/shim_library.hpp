// Where libtreadle-shim.so is, and how it gets into a program.
#pragma once

#include <string>

namespace treadle::cli {

// Beside this command, as built or as installed. Throws std::runtime_error when there is none, or
// none that LD_PRELOAD could name.
std::string find_shim();

// Puts it before what LD_PRELOAD has.
void preload(const std::string& library);

}  // namespace treadle::cli
