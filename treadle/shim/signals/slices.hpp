// Turns for all where the runtime itself never stops a thread that computes (m:1): the attendant
// nudges who runs when a slice is over, and that thread lets others run on its way back to the
// program.
// Rejected: to do so unless told. A textbook's many-to-one does not, and what programs show under
// it is then the same each time.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// The attendant's, when a slice is over.
void end_slices(int process) noexcept;

}  // namespace treadle::shim
