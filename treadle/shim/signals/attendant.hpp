// The one kernel thread that takes the process's signals from the kernel.
#pragma once

#include <signal.h>

namespace treadle::shim {

// Wakes it. Any that has no other use among our own kernel threads.
inline constexpr int attendant_signal = SIGURG;

// Whether the kernel lets it: a filter may not.
[[nodiscard]] bool can_take_signals() noexcept;

// The calling kernel thread is to be it. Before a thread of the program runs in the runtime.
void become_attendant() noexcept;

// For ever.
[[noreturn]] void attend() noexcept;

// It tells threads once more that they have signals (sending.hpp): one may have been on its way
// into a call that blocks, and missed the first time.
void call_attendant() noexcept;

// By another kernel thread: what the kernel has sent to the process by now (but SIGCHLD) is in the
// hands of its threads afterwards. After calls with which a program may send itself a signal: that
// has come before they end.
void take_what_is_sent() noexcept;

// Its kernel thread.
int attendant_number() noexcept;

}  // namespace treadle::shim
