// A thread of the program's that computes is told to look at its signals: by a signal to the kernel
// thread under it.
//
// One that the kernel itself sends to nobody but init, that does not queue (nudges in a hurry are
// one), and that gdb knows. Its handler begins with it blocked, so that its frames do not pile up
// on a side stack as fast as others send.
// Rejected: SIGSYS. One that is pending when a call is trapped takes the place of the trap's own,
// and the call is never made: a read() seemed to be at the file's end. The slice's signal and the
// order's: they queue.
#pragma once

#include <signal.h>
#include <ucontext.h>

namespace treadle::shim {

inline constexpr int nudge_signal = SIGPWR;

// Installs the handler.
void take_nudges() noexcept;

void nudge_kernel_thread(int process, int number) noexcept;

// The end of a handler of ours on the program's side, which may have gone on elsewhere: it gives
// the kernel thread what that had on which it began. That is the alternate stack, and in a child
// that goes on natively the mask, which were a worker's.
void prepare_end_of_handler(ucontext_t& context) noexcept;

}  // namespace treadle::shim
