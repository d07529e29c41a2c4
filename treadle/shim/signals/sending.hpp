// Who takes a signal, and how it comes to know.
//
// As the kernel's: what is sent to a thread waits in that thread's queue, what is sent to the
// process in the process's, from which any thread may take it that does not block it, or that waits
// for it in sigtimedwait(). One such thread is told. When it blocks the signal before it has taken
// it, or ends, another one is told.
// No wake-up is lost: a sender adds to the queue and then looks who takes it; a thread changes what
// it takes and then looks at the queue (seq_cst on both sides).
// Rejected: to hand a signal of the process's to the thread that is told, in its own queue; a
// thread that blocks it on the way would keep it from all others.
#pragma once

#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

void remember_process(int number) noexcept;
int this_process() noexcept;

// To the thread, or to one of the process's that does not block it. 0 or a negative errno. The
// first with the book's lock held.
long send_to(program_thread& target, const siginfo_t& info) noexcept;
long send_to_process(const siginfo_t& info) noexcept;

// Whether the thread takes one of `set`, unless it is ignored.
bool takes(const program_thread& one, std::uint64_t set) noexcept;

// The calling thread raised it by a call of its own (SIGPIPE), and the kernel gave it to the worker
// under it.
void take_over_raised(program_thread& self, int number) noexcept;

// The calling thread's. One of `set` that is pending for it, which is then not pending any more.
bool take_pending(program_thread& self, std::uint64_t set, siginfo_t& out) noexcept;
// Pending for it, blocked or not.
std::uint64_t pending_for(const program_thread& self) noexcept;
void set_mask(program_thread& self, std::uint64_t wanted) noexcept;
// In sigtimedwait(): what it takes though it blocks it.
void begin_to_await(program_thread& self, std::uint64_t set) noexcept;
void end_to_await(program_thread& self) noexcept;
// It ends.
void leave_signals(program_thread& self) noexcept;

// Threads that have not yet looked at what is pending are told once more. True when there are any.
bool remind() noexcept;

}  // namespace treadle::shim
