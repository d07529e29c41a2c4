// The signal by which the scheduler stops a thread that has computed for too long.
//
// It comes while the program's code runs, under the program's TLS: before the scheduler's own
// handler looks, the kernel thread's TLS is put in place, and the program's after it.
#pragma once

namespace treadle::shim {

// Finds the handler that the runtime has installed, and goes in between. After the runtime has
// been opened, before a thread of the program runs in it.
void wrap_slice_signal() noexcept;

// 0 when nobody is preempted.
int slice_signal() noexcept;

}  // namespace treadle::shim
