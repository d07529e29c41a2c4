// Starting a kernel thread that serves the program and is none of its own.
#pragma once

#include <pthread.h>

namespace treadle::base {

// Detached, and with the signals of the program blocked: those go to threads of the program, so
// that no call which is made here is interrupted, and no handler runs where it would stand in the
// way, or find none of the program's descriptors. Faults stay open, for whoever reports them.
// 0 or an errno. Any kernel thread may call; takes some 20 us.
// With `joinable` it is not detached but joined by the caller.
[[nodiscard]] int start_kernel_thread(void* (*body)(void*), void* argument,
                                      pthread_t* joinable = nullptr) noexcept;

}  // namespace treadle::base
