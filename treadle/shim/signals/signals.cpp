#include "treadle/shim/signals/signals.hpp"

#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/signals/signal_frame.hpp"
#include "treadle/shim/threads/wait.hpp"

namespace treadle::shim {

void deliver(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  std::uint64_t found;
  while ((found = self.deliverable()) != 0) {
    siginfo_t info;
    {
      const base::guard hold(threads().lock);
      if (!self.pending.take(found, info) && !process_pending.take(found, info)) continue;
    }
    const int number = info.si_signo;
    const kernel_action action = action_for(number);
    switch (disposition_of(number)) {
      case disposition::ignore:
        break;
      case disposition::by_default:
        act_by_default(number);
        break;
      case disposition::handle:
        run_handler(call, action, info);
        break;
    }
  }
  if (!self.restores_mask) return;
  self.restores_mask = false;
  set_mask(self, self.mask_to_restore);
}

long serve_sigprocmask(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  if (call.arguments[3] != sizeof(std::uint64_t)) return -EINVAL;
  const std::uint64_t old = self.mask.load(base::relaxed);  // relaxed: our own
  if (call.arguments[1] != 0) {
    std::uint64_t set;
    if (!read_program(call.arguments[1], set)) return -EFAULT;
    // Only libc itself does that; the last thread of a process wants it back (last_thread.hpp).
    if (set == ~std::uint64_t{0}) self.mask_before_all = old;
    switch (static_cast<int>(call.arguments[0])) {
      case SIG_BLOCK:
        set_mask(self, old | set);
        break;
      case SIG_UNBLOCK:
        set_mask(self, old & ~set);
        break;
      case SIG_SETMASK:
        set_mask(self, set);
        break;
      default:
        return -EINVAL;
    }
  }
  return call.arguments[2] == 0 || write_program(call.arguments[2], old) ? 0 : -EFAULT;
}

long serve_sigpending(saved_call& call) noexcept {
  const program_thread& self = *call.caller;
  // relaxed: our own
  const std::uint64_t found = pending_for(self) & self.mask.load(base::relaxed);
  const std::size_t size = call.arguments[1];
  if (size > sizeof(found)) return -EINVAL;
  return copy_all(reinterpret_cast<void*>(call.arguments[0]), &found, size) ? 0 : -EFAULT;
}

long serve_sigtimedwait(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  std::uint64_t set;
  base::deadline until = base::deadline::never();
  if (call.arguments[3] != sizeof(set)) return -EINVAL;
  if (!read_program(call.arguments[0], set)) return -EFAULT;
  set &= ~unblockable;
  if (call.arguments[2] != 0) {
    timespec span;
    if (!read_program(call.arguments[2], span)) return -EFAULT;
    if (!is_valid(span)) return -EINVAL;
    until = deadline_after(span);
  }
  siginfo_t info{};
  wait_result how = wait_result::done;
  // First, as the attendant may take it from the kernel once it sees that somebody awaits it.
  if (!take_pending(self, set, info)) {
    begin_to_await(self, set);
    how = wait_for(self, until, core::wait_reason::event,
                   [&]() noexcept { return take_pending(self, set, info); });
    end_to_await(self);
  }
  if (how == wait_result::timed_out) return -EAGAIN;
  if (how == wait_result::interrupted) return -EINTR;
  if (call.arguments[1] != 0 && !write_program(call.arguments[1], info)) return -EFAULT;
  return info.si_signo;
}

void set_mask_for_wait(program_thread& self, std::uint64_t wanted) noexcept {
  self.mask_to_restore = self.mask.load(base::relaxed);  // relaxed: our own
  self.restores_mask = true;
  set_mask(self, wanted);
}

// Where a handler is to run, it gives the mask back.
void end_mask_for_wait(program_thread& self) noexcept {
  if (!self.restores_mask || self.deliverable() != 0) return;
  self.restores_mask = false;
  set_mask(self, self.mask_to_restore);
}

long serve_pause(saved_call& call) noexcept {
  static_cast<void>(wait_for(*call.caller, base::deadline::never(), core::wait_reason::event,
                             []() noexcept { return false; }));
  return -EINTR;
}

long serve_sigsuspend(saved_call& call) noexcept {
  std::uint64_t wanted;
  if (call.arguments[1] != sizeof(wanted)) return -EINVAL;
  if (!read_program(call.arguments[0], wanted)) return -EFAULT;
  set_mask_for_wait(*call.caller, wanted);
  return serve_pause(call);
}

long serve_sigaction(saved_call& call) noexcept {
  const int number = static_cast<int>(call.arguments[0]);
  kernel_action wanted{};
  kernel_action before{};
  const bool changes = call.arguments[1] != 0;
  if (call.arguments[3] != sizeof(wanted.mask)) return -EINVAL;
  if (changes && !read_program(call.arguments[1], wanted)) return -EFAULT;
  const long error = change_action(number, changes ? &wanted : nullptr, &before);
  if (error != 0 || call.arguments[2] == 0) return error;
  return write_program(call.arguments[2], before) ? 0 : -EFAULT;
}

}  // namespace treadle::shim
