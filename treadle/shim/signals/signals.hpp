// Signals among the program's threads.
//
// Every kernel thread of the process blocks all signals but faults, so that no handler of the
// program's ever runs on the runtime's side. Masks and pending signals of the program's threads are
// kept here and cost no system call. What comes from outside the attendant takes from the kernel
// (attendant.hpp) and brings to a thread that does not block it. A thread finds what is pending
// when it goes back to the program; one that waits is woken, one that computes is nudged
// (nudge.hpp).
// The kernel knows the program's own actions, so that a child, a new program and a default action
// (which we let the kernel do) find what they would find natively. But for two: see faults.hpp.
#pragma once

#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// Runtime's side, on the way back: changes `call` so that the program's handlers run first.
void deliver(saved_call& call) noexcept;

long serve_end_of_handler(saved_call& call) noexcept;
long serve_sigaction(saved_call& call) noexcept;
long serve_sigprocmask(saved_call& call) noexcept;
long serve_sigpending(saved_call& call) noexcept;
long serve_sigtimedwait(saved_call& call) noexcept;
long serve_sigsuspend(saved_call& call) noexcept;
long serve_pause(saved_call& call) noexcept;
long serve_sigaltstack(saved_call& call) noexcept;
// kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo.
long serve_kill(saved_call& call) noexcept;
// pidfd_send_signal(), mq_notify(), mq_timedsend().
long serve_sending_by_descriptor(saved_call& call) noexcept;
long serve_queue_notice(saved_call& call) noexcept;
long serve_queue_send(saved_call& call) noexcept;

// For pselect, ppoll, epoll_pwait: the mask for as long as the call waits.
void set_mask_for_wait(program_thread& self, std::uint64_t wanted) noexcept;
void end_mask_for_wait(program_thread& self) noexcept;

}  // namespace treadle::shim
