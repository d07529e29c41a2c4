// Faults while the shim reads and writes what the program has named (program_memory.hpp).
//
// The kernel has a handler of ours for SIGSEGV and SIGBUS. Where one of those few instructions has
// faulted, the thread goes on behind them. Any other fault, and a signal that somebody has sent, is
// the program's: its handler runs as if the kernel had called it, and where it has none the kernel
// ends the process at the very instruction.
#pragma once

#include "treadle/shim/signals/signal_set.hpp"

namespace treadle::shim {

// What the kernel is to have for a number of these two when the program has `own`. SA_ONSTACK is
// the program's.
kernel_action guarding(const kernel_action& own) noexcept;
constexpr bool is_guarded(int number) noexcept { return number == SIGSEGV || number == SIGBUS; }

}  // namespace treadle::shim
