// Calls that no patch has caught: Syscall User Dispatch makes them a SIGSYS on the program's side.
#pragma once

#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"
#include "treadle/shim/signals/signal_set.hpp"

namespace treadle::shim {

// Installs the handler.
void trap_calls() noexcept;

// Whether a thread ends past libc: by its syscall(), or by an instruction of the program's own.
bool is_raw_exit(const saved_call& call) noexcept;

// The runtime brings handlers for faults of its own threads; the program's faults are its own.
struct fault_actions {
  kernel_action segv;
  kernel_action bus;
};
fault_actions remember_fault_actions() noexcept;
void restore(const fault_actions& before) noexcept;

// The calling kernel thread has no restartable sequences of its TLS any more.
void give_up_rseq() noexcept;

}  // namespace treadle::shim
