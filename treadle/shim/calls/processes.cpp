#include "treadle/shim/calls/processes.hpp"

#include <signal.h>
#include <sys/syscall.h>

#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/door/trap.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/signals/signal_descriptors.hpp"
#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/stats.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/threads.hpp"

namespace treadle::shim {
namespace {

void set_mask(std::uint64_t wanted, std::uint64_t* before) noexcept {
  kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &wanted, before, sizeof(wanted));
}

// In a child with memory of its own. It has none of the runtime's kernel threads, so that it goes
// on under the kernel, as POSIX lets it: until it executes another program or ends.
void become_native(const program_thread& self) noexcept {
  // The kernel writes into the worker's TLS when it switches; here that lies on a stack without a
  // thread, which libc frees sooner or later.
  give_up_rseq();
  leave_to_kernel();
  give_back_to_program();
  kernel_call(SYS_sigaltstack, &self.alternate, nullptr);
  set_mask(self.mask.load(base::relaxed), nullptr);  // relaxed: our own
}

}  // namespace

long serve_fork(saved_call& call) noexcept {
  const long made = kernel_call(call.number, call.arguments[0], call.arguments[1],
                                call.arguments[2], call.arguments[3], call.arguments[4]);
  if (made == 0) become_native(*call.caller);
  return made;
}

// The new program inherits the mask of the kernel thread: it is the calling thread's for that long.
long serve_exec(saved_call& call) noexcept {
  give_pending_to_kernel(*call.caller);
  std::uint64_t before = 0;
  set_mask(call.caller->mask.load(base::relaxed), &before);  // relaxed: our own
  const long error = kernel_call(call.number, call.arguments[0], call.arguments[1],
                                 call.arguments[2], call.arguments[3], call.arguments[4]);
  set_mask(before, nullptr);
  return error;
}

void serve_exit_group(saved_call& call) noexcept {
  write_stats();
  for (;;) kernel_call(SYS_exit_group, call.arguments[0]);
}

}  // namespace treadle::shim
