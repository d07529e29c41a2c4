// Reads of what cannot be asked not to wait: terminals, FIFOs, inotify, most other devices.
//
// Of them poll(2) says that there is something, and a rival may take it before the read does:
// another thread, or another process at the same terminal. A terminal may also want more than it
// has (VMIN and VTIME of termios(3)). So the read goes where it blocks nobody and can be
// interrupted, but for what has O_NONBLOCK set, by somebody else: see single_call.hpp.
// What that costs is said in reluctant_write.hpp. A FIFO that is open for reading only is read by
// vmsplice(2), which can be asked not to wait, in place. That call knows no borders of packets; of
// FIFOs there are none.
// Rejected: look and read under the descriptor's lock, which rivals in other processes and VMIN do
// not care for.
#pragma once

#include <sys/uio.h>

#include "treadle/io/waiting.hpp"

namespace treadle::io {

// As read_once(), of what refuses RWF_NOWAIT. May park, within the limit.
[[nodiscard]] ssize_t read_reluctantly(const call_target& target, const iovec* parts, int count,
                                       const base::wait_limit& limit) noexcept;

// Whether the descriptor is known for such reads and has something to read now: a task has a thread
// read it.
[[nodiscard]] bool reads_reluctantly_now(const call_target& target) noexcept;

}  // namespace treadle::io
