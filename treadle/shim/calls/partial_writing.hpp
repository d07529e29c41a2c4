// Writes to what takes as much as there is room for, and keeps who brings more in the kernel until
// there is room for all: FIFOs and eventfds, which cannot be asked not to wait. Of them poll(2)
// promises room for PIPE_BUF bytes and for 1. What is sure to fit is written, and the thread parks
// for the rest; so whoever makes room may be one of ours, also where there is one worker only.
//
// A writer in another process may take the room in between: then the call blocks the worker.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// write() or writev(), in pieces of which each fits.
long write_to_fifo(saved_call& call) noexcept;
// write() of one number, or writev().
long write_to_counter(saved_call& call, std::uint64_t value) noexcept;

}  // namespace treadle::shim
