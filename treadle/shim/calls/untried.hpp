// Reads and writes that the kernel cannot try without waiting: of terminals, FIFOs and other
// devices, eventfd, inotify and the like. The thread parks until poll(2) says that the descriptor
// is ready, and the call is made then.
//
// Where the kernel answers without being ready, so must we: what is no such call at all (EINVAL),
// what never waits though it can be polled (message queues, perf events), an end of file that poll
// does not know (a FIFO without a writer), a terminal that reads nothing or for so long (VMIN,
// VTIME), what is wrong with an eventfd's value. That is looked at only where a thread is about to
// park.
#pragma once

#include <sys/uio.h>

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// The result of the call, read() or readv() into `parts`.
long read_untried(saved_call& call, const iovec* parts, long count) noexcept;
// The same of write() and writev().
long write_untried(saved_call& call) noexcept;

}  // namespace treadle::shim
