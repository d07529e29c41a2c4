#include "treadle/shim/calls/processes.hpp"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/door/trap.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/signals/signal_descriptors.hpp"
#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/stats.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/threads.hpp"
#include "treadle/shim/threads/traits.hpp"

namespace treadle::shim {
namespace {

void set_mask(std::uint64_t wanted, std::uint64_t* before) noexcept {
  kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &wanted, before, sizeof(wanted));
}

// What clone3() may be asked for by a newer program.
union any_clone_args {
  clone_args known;
  unsigned char bytes[256];  // guess: the kernel of 2026 knows 88
};

// In a child with memory of its own. It has none of the runtime's kernel threads, so that it goes
// on under the kernel, as POSIX lets it: until it executes another program or ends.
void become_native(const program_thread& self) noexcept {
  // The kernel writes into the worker's TLS when it switches; here that lies on a stack without a
  // thread, which libc frees sooner or later.
  give_up_rseq();
  leave_to_kernel();
  give_back_to_program();
  kernel_call(SYS_sigaltstack, &self.alternate, nullptr);
  give_traits_to_child(self.traits);
  set_mask(self.mask.load(base::relaxed), nullptr);  // relaxed: our own
}

}  // namespace

// The child comes back from here on its copy of the side stack, under the runtime's TLS: its own
// stack and TLS, if it is to have them, are for the way back to the program.
long serve_fork(saved_call& call) noexcept {
  long made = 0;
  std::uint64_t thread_pointer = 0;
  if (call.number == SYS_clone3) {
    if (call.arguments[1] > sizeof(any_clone_args)) return -E2BIG;
    if (call.arguments[1] < CLONE_ARGS_SIZE_VER0) return -EINVAL;
    any_clone_args asked{};
    const auto* const from = reinterpret_cast<const void*>(call.arguments[0]);
    if (!copy_all(&asked, from, call.arguments[1])) return -EFAULT;
    if ((asked.known.flags & CLONE_SETTLS) != 0) thread_pointer = asked.known.tls;
    asked.known.flags &= ~std::uint64_t{CLONE_SETTLS};
    asked.known.stack = asked.known.stack_size = 0;
    made = kernel_call(SYS_clone3, &asked, call.arguments[1]);
  } else if (call.number == SYS_clone) {
    if ((call.arguments[0] & CLONE_SETTLS) != 0) thread_pointer = call.arguments[4];
    made = kernel_call(SYS_clone, call.arguments[0] & ~std::uint64_t{CLONE_SETTLS}, 0,
                       call.arguments[2], call.arguments[3], 0);
  } else {
    made = kernel_call(call.number);
  }
  if (made != 0) return made;
  if (thread_pointer != 0) call.thread_pointer = thread_pointer;
  become_native(*call.caller);
  return 0;
}

namespace {

void set_executes(program_thread& self, bool so) noexcept {
  const base::guard hold(threads().lock);
  self.executes = so;
}

}  // namespace

// The new program inherits the mask of the kernel thread: it is the calling thread's for that long.
// A nudge amid the call would reach the new program, which has no handler for it.
long serve_exec(saved_call& call) noexcept {
  give_pending_to_kernel(*call.caller);
  set_executes(*call.caller, true);
  tell_ignored_faults();
  std::uint64_t before = 0;
  set_mask(call.caller->mask.load(base::relaxed), &before);  // relaxed: our own
  const long error = kernel_call(call.number, call.arguments[0], call.arguments[1],
                                 call.arguments[2], call.arguments[3], call.arguments[4]);
  guard_faults();
  set_mask(before, nullptr);
  set_executes(*call.caller, false);
  return error;
}

void serve_exit_group(saved_call& call) noexcept {
  write_stats();
  for (;;) kernel_call(SYS_exit_group, call.arguments[0]);
}

}  // namespace treadle::shim
