#include "treadle/shim/signals/signals.hpp"

#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/kernel_call.hpp"
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
  const auto* wanted = reinterpret_cast<const std::uint64_t*>(call.arguments[1]);
  auto* before = reinterpret_cast<std::uint64_t*>(call.arguments[2]);
  const std::uint64_t old = self.mask.load(base::relaxed);  // relaxed: our own
  if (wanted != nullptr) {
    const std::uint64_t set = *wanted;
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
  if (before != nullptr) *before = old;
  return 0;
}

long serve_sigpending(saved_call& call) noexcept {
  const program_thread& self = *call.caller;
  // relaxed: our own
  const std::uint64_t found = pending_for(self) & self.mask.load(base::relaxed);
  std::memcpy(reinterpret_cast<void*>(call.arguments[0]), &found, sizeof(found));
  return 0;
}

long serve_sigtimedwait(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const std::uint64_t set =
      *reinterpret_cast<const std::uint64_t*>(call.arguments[0]) & ~unblockable;
  const auto* span = reinterpret_cast<const timespec*>(call.arguments[2]);
  if (span != nullptr && !is_valid(*span)) return -EINVAL;
  const base::deadline until = span != nullptr ? deadline_after(*span) : base::deadline::never();
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
  if (auto* out = reinterpret_cast<siginfo_t*>(call.arguments[1])) *out = info;
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
  set_mask_for_wait(*call.caller, *reinterpret_cast<const std::uint64_t*>(call.arguments[0]));
  return serve_pause(call);
}

long serve_sigaction(saved_call& call) noexcept {
  const int number = static_cast<int>(call.arguments[0]);
  return change_action(number, reinterpret_cast<const kernel_action*>(call.arguments[1]),
                       reinterpret_cast<kernel_action*>(call.arguments[2]));
}

}  // namespace treadle::shim
