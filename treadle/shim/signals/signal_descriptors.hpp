// signalfd(2): signals that are read from a descriptor.
//
// The descriptor is the kernel's own, with its poll, epoll and read; so what it is to give has to
// wait in the kernel. Signals that any such descriptor was ever made for stay there, or are put
// back, while no thread takes them; the attendant leaves them alone. A thread that begins to take
// one looks in the kernel first.
// Sent to one thread that blocks it, such a signal becomes the process's, because the kernel does
// not know the thread: whoever reads first gets it.
// The kernel lets only the process's first kernel thread say that a signal comes from somebody
// else. That one has nothing else to do, and does it.
// Rejected: a descriptor of ours. Each read, poll, dup and exec would have to know it.
#pragma once

#include <signal.h>

#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

// Signals that a descriptor reads.
std::uint64_t read_by_descriptors() noexcept;

// The attendant's: those of them that no thread takes now. Takes the book's lock.
std::uint64_t left_to_descriptors() noexcept;

// Comes back when the attendant takes none any more that the caller has ceased to take. Blocks the
// kernel thread, for a moment.
void wait_until_left() noexcept;

// For the process. 0 or a negative errno. What comes from somebody else is there a moment later.
// With the book's lock held.
long put_into_kernel(const siginfo_t& info) noexcept;
// One of the set that waits there for the process.
bool take_from_kernel(std::uint64_t set, siginfo_t& out) noexcept;
std::uint64_t pending_in_kernel() noexcept;

long serve_signal_descriptor(saved_call& call) noexcept;

// The caller is about to execute another program, which has what is pending now.
void give_pending_to_kernel(program_thread& self) noexcept;

// The process's first kernel thread, for ever. Touches no TLS.
[[noreturn]] void put_what_others_send() noexcept;

}  // namespace treadle::shim
