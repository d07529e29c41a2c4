// One system call on every kernel thread of the process: what the kernel keeps for each of them,
// and POSIX for the process. Or on the first alone.
//
// Who gives the order makes the call first; where that fails nobody else is asked. Then each other
// kernel thread is sent a signal, one after the other, whose handler makes the same call and says
// so, until a look at /proc/self/task finds no one who has not: also those that were made
// meanwhile, by one that had not been asked yet.
// The signal is the one that glibc has for the same thing among its own threads, so that no program
// can block it; no kernel thread of ours ever does. Its handler touches nothing but the order: it
// runs on either side, and amid anything.
// Rejected: the nudge's signal (nudge.hpp), which a preempted worker blocks.
#pragma once

#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

inline constexpr int order_signal = 33;  // sourced: SIGSETXID of glibc's nptl

// While the process has one kernel thread: with more the kernel waits for all CPUs (10 ms) before a
// number as high as the descriptor's has a place in its table.
void open_orders() noexcept;
void close_orders() noexcept;  // where the program goes on without us
// By the attendant, before a thread of the program runs in the runtime.
void prepare_orders() noexcept;

// Runtime's side. The result of the call. Ends the process when some threads can make it and
// others cannot, or cannot be found.
long order_all(const saved_call& call) noexcept;

// The same on the first kernel thread only: what the kernel keeps for it, and the program's first
// thread means. A call that does not wait.
long order_first(const saved_call& call) noexcept;

}  // namespace treadle::shim
