// Writes to what cannot be asked not to wait: terminals, eventfds, most other devices.
//
// Of them poll(2) promises room for something: of an eventfd for 1, of a terminal for a byte, and
// that not if the byte is a line's end, which becomes two. A write waits in the kernel for the
// rest, which no limit ends. So it goes where it blocks nobody and can be interrupted, but for what
// cannot wait: an eventfd's 1 and what has O_NONBLOCK set, by somebody else: see single_call.hpp.
// Measured: less than 1 us in place, 8 (1:1) to 40 us (m:n) by a kernel thread of the pool.
#pragma once

#include <sys/uio.h>

#include "treadle/io/waiting.hpp"

namespace treadle::io {

// As write_once(), of what refuses RWF_NOWAIT. May park, within the limit.
[[nodiscard]] ssize_t write_reluctantly(const call_target& target, call_kind kind,
                                        const iovec* parts, int count,
                                        const base::wait_limit& limit) noexcept;

// Whether the descriptor is known for such writes: a task has a thread make them.
[[nodiscard]] bool writes_reluctantly(const descriptor& which) noexcept;

}  // namespace treadle::io
