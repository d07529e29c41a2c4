// Changes of privileges while the program has threads.
//
// POSIX has one user, one group and one list of groups for a process, the kernel one for each of
// its threads. glibc makes the call in every pthread: it sends them a signal of its own, in whose
// handler each makes it, and makes it itself when all have. Ours run on fewer kernel threads, and
// those have others beside them; and to make such a call once more is not the same as to make it
// once (setuid(0) by who has uid 0 in reserve only). So the first of a round makes it for every
// kernel thread (order.hpp), and the others are told what came out.
// What the kernel means for one thread alone (capabilities, the file system's uid, or a call past
// libc's functions) is done for all while the program has one thread, and is refused else.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// setuid and its relatives, capset, prctl.
long serve_privileges(saved_call& call) noexcept;
// The same, past libc's functions: the arguments are a ucontext_t and the call's number.
long serve_raw_privileges(saved_call& call) noexcept;
// unshare and setns: of one kernel thread only, so that they fail.
long serve_namespace(saved_call& call) noexcept;
// ptrace: likewise.
long serve_tracing(saved_call& call) noexcept;
// A seccomp filter: the process ends.
long serve_refused_privileges(saved_call& call) noexcept;
bool changes_privileges(long number) noexcept;

// The thread has sent another one glibc's signal: its next change of privileges is a round's last.
void begin_round(program_thread& self) noexcept;

}  // namespace treadle::shim
