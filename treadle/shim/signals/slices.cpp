#include "treadle/shim/signals/slices.hpp"

#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/signals/nudge.hpp"

namespace treadle::shim {

void end_slices(int process) noexcept {
  const base::guard hold(threads().lock);  // for `executes`
  for (const seat* one = first_seat(); one != nullptr; one = one->next) {
    // relaxed, all: a look at the wrong moment costs somebody a turn, or gives one too few
    program_thread* const occupant = one->occupant.load(base::relaxed);
    if (occupant == nullptr || occupant->executes || occupant->interruptible.load(base::relaxed) ||
        occupant->in_kernel.load(base::relaxed)) {
      continue;
    }
    occupant->slice_is_over.store(true, base::relaxed);
    nudge_kernel_thread(process, one->kernel_id);
  }
}

}  // namespace treadle::shim
