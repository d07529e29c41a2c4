// How long a ready thread waits at most beside one that blocks: M:N, one processor, fifty times.
#pragma once

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

// Rows with the plot key "ready"; of syscall-handoff.
void ready_wait_rows(lab_context& lab);

}  // namespace treadle::lab
