// A system call that may wait for ever, made where it blocks nobody, and interrupted when its
// caller has to come back.
//
// It runs on a kernel thread of a pool of its own: a stopped terminal or a child that runs on may
// keep it for days, and calls on files must not queue behind that. The caller parks. At its limit,
// or when the descriptor is closed, a signal interrupts the call, again and again until it is over;
// so nothing is left behind, the call may use the caller's memory, and what it has done by then is
// its result. Begun it is always, also with a limit in the past: what needs no waiting is done.
// Only for calls that signals do interrupt: not for disks.
// Rejected: io_uring, which can take such calls back, but is refused in many containers, and bounds
// its kernel threads for all calls together; leaving the call behind (what it writes comes later,
// and the kernel thread is lost for as long as the call waits: children of a long-lived server, 64
// time-outs, and no file was opened any more). Why a signal: docs/decisions/0040.
#pragma once

#include <sys/types.h>

#include "treadle/io/waiting.hpp"

namespace treadle::io {

// `call(closure)` makes it once: its result or -errno. After -EINTR it is made again, unless it has
// to end. -ETIMEDOUT, -ECANCELED, or -EBADF after a close of `target` (which may be null), when it
// was interrupted for that and had done nothing yet. Parks the caller.
[[nodiscard]] ssize_t call_interruptibly(ssize_t (*call)(void* closure), void* closure,
                                         const call_target* target,
                                         const base::wait_limit& limit) noexcept;

template <class Call>
[[nodiscard]] ssize_t call_interruptibly(Call& call, const call_target* target,
                                         const base::wait_limit& limit) noexcept {
  return call_interruptibly([](void* closure) { return (*static_cast<Call*>(closure))(); }, &call,
                            target, limit);
}

}  // namespace treadle::io
