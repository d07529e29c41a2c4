// Parking until descriptors are ready.
#pragma once

#include <poll.h>

#include "treadle/base/clock.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// As poll(2): how many have something to say, 0 at the deadline, -EINTR for a signal, or another
// negative errno.
long wait_ready(program_thread& self, pollfd* those, nfds_t count, base::deadline until) noexcept;

// One: 0 when it is ready, or a negative errno.
long wait_ready(program_thread& self, int descriptor, short events,
                base::deadline until = base::deadline::never()) noexcept;

// The same, and it is still ready.
long wait_until_ready(program_thread& self, int descriptor, short events,
                      base::deadline until = base::deadline::never()) noexcept;

bool is_non_blocking(int descriptor) noexcept;
bool is_ready(int descriptor, short events) noexcept;
bool is_listening(int descriptor) noexcept;

// For a call, within the socket's own time-out; POLLIN or POLLOUT. Before one that cannot be tried:
// 0 when it is to be made, or its result.
long wait_before(program_thread& self, int descriptor, short events) noexcept;
// After a try that would have waited: 0 when it is to be tried again, or its result.
long wait_after(program_thread& self, int descriptor, short events) noexcept;

}  // namespace treadle::shim
