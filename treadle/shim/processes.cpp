#include "treadle/shim/processes.hpp"

#include <signal.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/seat.hpp"
#include "treadle/shim/signal_actions.hpp"
#include "treadle/shim/signal_set.hpp"
#include "treadle/shim/stats.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads.hpp"

namespace treadle::shim {
namespace {

void set_mask(std::uint64_t wanted, std::uint64_t* before) noexcept {
  kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &wanted, before, sizeof(wanted));
}

// A child inherits where the kernel notes its CPU: in the control block of the worker that forked.
// To the child's libc that is a thread that is gone, whose stack it may unmap when it likes.
void forget_worker() noexcept {
  constexpr int unregister = 1;             // sourced: RSEQ_FLAG_UNREGISTER, rseq(2)
  constexpr unsigned registered_size = 32;  // sourced: glibc 2.35; later ones may say more
  if (__rseq_size == 0) return;
  const auto area = thread_pointer() + static_cast<std::uint64_t>(__rseq_offset);
  if (kernel_call(SYS_rseq, area, registered_size, unregister, RSEQ_SIG) == 0) return;
  kernel_call(SYS_rseq, area, __rseq_size, unregister, RSEQ_SIG);
}

// In a child with memory of its own. It has none of the runtime's kernel threads, so that it goes
// on under the kernel, as POSIX lets it: until it executes another program or ends.
void become_native(const program_thread& self) noexcept {
  forget_worker();
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
