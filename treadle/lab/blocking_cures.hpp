// What helps against a blocking call, each cure beside the others in every model: nothing, finding
// out by itself (activations), saying so (blocking_region), the blocking-call pool (blocking()), a
// kernel thread of its own (scope system), and a call of treadle::io, which waits for readiness or
// completion. 1:1 is a model here. M:N runs on one kernel thread, so that there is one to lose.
// A part of the experiment blocking-call.
#pragma once

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

void cure_rows(lab_context& lab);

}  // namespace treadle::lab
