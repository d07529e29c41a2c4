// The one kernel thread that takes the process's signals from the kernel.
#pragma once

namespace treadle::shim {

// For ever.
[[noreturn]] void attend() noexcept;

// It tells threads once more that they have signals (signals.hpp): one may have been on its way
// into a call that blocks, and missed the first time.
void call_attendant() noexcept;

}  // namespace treadle::shim
