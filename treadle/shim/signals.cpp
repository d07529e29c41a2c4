#include "treadle/shim/signals.hpp"

#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "treadle/shim/attendant.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/nudge.hpp"
#include "treadle/shim/order.hpp"
#include "treadle/shim/privileges.hpp"
#include "treadle/shim/seat.hpp"
#include "treadle/shim/signal_actions.hpp"
#include "treadle/shim/signal_frame.hpp"
#include "treadle/shim/times.hpp"
#include "treadle/shim/wait.hpp"

namespace treadle::shim {
namespace {

constinit int process = 0;  // fixed after start

constinit signal_queue process_pending;  // sent to the process, and every thread blocks it

// Makes a thread look. With the book's lock held, so that its record is its own.
void nudge(program_thread& target) noexcept {
  program_thread::after_sending();
  // seq_cst: not before the fence, as all that follow
  if (target.interruptible.load(base::seq_cst)) {
    if (core::thread* parked = target.self.load(base::acquire)) {  // pairs with begin_thread()
      if (wait_stopper* stopper = target.stopper) {
        stopper->stop(*stopper);
      } else {
        core::scheduler_port::unpark(*parked);
      }
    }
    return;
  }
  const seat* under = target.under.load(base::acquire);  // pairs with treadle_shim_take_seat()
  if (under == nullptr || under == seat_in_gs()) return;
  // seq_cst: as above; another one there, or it is on its way to the seat and has yet to look
  if (under->occupant.load(base::seq_cst) != &target) return;
  nudge_kernel_thread(process, under->kernel_id);
  // seq_cst: as deliverable()
  if (target.in_kernel.load(base::seq_cst)) call_attendant();
}

// With the book's lock held.
long make_pending(program_thread& target, const siginfo_t& info) noexcept {
  const long error = target.pending.add(info);
  if (error == 0) nudge(target);
  return error;
}

bool takes(const program_thread& one, std::uint64_t bit) noexcept {
  // seq_cst: as deliverable()
  return ((~one.mask.load(base::seq_cst) | one.awaited.load(base::seq_cst)) & bit) != 0;
}

// One of `set` that is pending for the caller, which is then not pending any more.
bool take_pending(program_thread& self, std::uint64_t set, siginfo_t& out) noexcept {
  if (((self.pending.bits() | process_pending.bits()) & set) == 0) return false;
  const base::guard hold(threads().lock);
  return self.pending.take(set, out) || process_pending.take(set, out);
}

void set_mask(program_thread& self, std::uint64_t wanted) noexcept {
  self.mask.store(wanted & ~unblockable, base::seq_cst);  // as deliverable()
  if ((process_pending.bits() & ~wanted) == 0) return;
  const base::guard hold(threads().lock);
  process_pending.move_to(self.pending, ~wanted);
}

program_thread* choose(std::uint64_t bit) noexcept {
  program_thread* found = nullptr;
  for (program_thread* one = threads().first(); one != nullptr; one = one->next) {
    if (!takes(*one, bit)) continue;
    if (one->is_leader) return one;  // the kernel prefers it, too
    // seq_cst: as deliverable(); one that waits is told without a signal
    if (found == nullptr || one->interruptible.load(base::seq_cst)) found = one;
  }
  return found;
}

}  // namespace

void remember_process(int number) noexcept { process = number; }

long send_to(program_thread& target, const siginfo_t& info) noexcept {
  const std::uint64_t bit = bit_of(info.si_signo);
  // seq_cst: as deliverable()
  if (((target.mask.load(base::seq_cst) | target.awaited.load(base::seq_cst)) & bit) == 0 &&
      disposition_of(info.si_signo) == disposition::ignore) {
    return 0;
  }
  return make_pending(target, info);
}

long send_to_process(const siginfo_t& info) noexcept {
  const std::uint64_t bit = bit_of(info.si_signo);
  const disposition what = disposition_of(info.si_signo);
  {
    const base::guard hold(threads().lock);
    program_thread* target = choose(bit);
    if (target == nullptr) return process_pending.add(info);
    // seq_cst, both: as deliverable()
    const bool blocks = (target->mask.load(base::seq_cst) & bit) != 0;
    const bool awaits = (target->awaited.load(base::seq_cst) & bit) != 0;
    if (awaits && blocks) {
      // Behind those that are there already.
      const long error = process_pending.add(info);
      if (error == 0) nudge(*target);
      return error;
    }
    if (awaits || what == disposition::handle) return make_pending(*target, info);
  }
  if (what == disposition::by_default) act_by_default(info.si_signo);
  return 0;
}

bool remind() noexcept {
  const base::guard hold(threads().lock);
  bool found = false;
  for (program_thread* one = threads().first(); one != nullptr; one = one->next) {
    if (one->deliverable() == 0) continue;
    found = true;
    nudge(*one);
  }
  return found;
}

void take_over_raised(program_thread& self, int number) noexcept {
  const std::uint64_t one = bit_of(number);
  const timespec at_once{};
  kernel_call(SYS_rt_sigtimedwait, &one, nullptr, &at_once, sizeof(one));
  siginfo_t info{};
  info.si_signo = number;
  info.si_code = SI_USER;
  const base::guard hold(threads().lock);
  static_cast<void>(send_to(self, info));
}

void deliver(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  std::uint64_t found;
  while ((found = self.deliverable()) != 0) {
    siginfo_t info;
    {
      const base::guard hold(threads().lock);
      if (!self.pending.take(found, info)) continue;
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
  const std::uint64_t found =
      (self.pending.bits() | process_pending.bits()) & self.mask.load(base::relaxed);
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
  self.awaited.store(set, base::seq_cst);  // before the look; pairs with choose()
  const wait_result how = wait_for(self, until, core::wait_reason::event,
                                   [&]() noexcept { return take_pending(self, set, info); });
  self.awaited.store(0, base::seq_cst);  // as above
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

namespace {

// Which thread a call means; -1 for the process.
struct sending {
  long thread;
  int number;
  const siginfo_t* info;
};

bool read_sending(const saved_call& call, sending& out) noexcept {
  const auto argument = [&call](int i) { return static_cast<int>(call.arguments[i]); };
  switch (call.number) {
    case SYS_kill:
      out = {-1, argument(1), nullptr};
      return argument(0) == process;
    case SYS_rt_sigqueueinfo:
      out = {-1, argument(1), reinterpret_cast<const siginfo_t*>(call.arguments[2])};
      return argument(0) == process;
    case SYS_tkill:
      out = {argument(0), argument(1), nullptr};
      return true;
    case SYS_tgkill:
      out = {argument(1), argument(2), nullptr};
      return argument(0) == process;
    default:  // rt_tgsigqueueinfo
      out = {argument(1), argument(2), reinterpret_cast<const siginfo_t*>(call.arguments[3])};
      return argument(0) == process;
  }
}

}  // namespace

long serve_kill(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  sending wanted{};
  if (!read_sending(call, wanted)) {
    return kernel_call(call.number, call.arguments[0], call.arguments[1], call.arguments[2],
                       call.arguments[3]);
  }
  if (wanted.number < 0 || wanted.number > signal_count) return -EINVAL;
  siginfo_t info{};
  if (wanted.info != nullptr) info = *wanted.info;
  info.si_signo = wanted.number;
  if (wanted.info == nullptr) {
    info.si_code = wanted.thread >= 0 ? SI_TKILL : SI_USER;
    info.si_pid = process;
    info.si_uid = static_cast<uid_t>(kernel_call(SYS_getuid));
  }
  if (wanted.thread < 0) {
    if (wanted.number == 0) return 0;
    if ((bit_of(wanted.number) & unblockable) != 0) {
      return kernel_call(SYS_kill, process, wanted.number);
    }
    // A signal to oneself has come before the call ends: so the caller takes it, if it can.
    if (!takes(self, bit_of(wanted.number))) return send_to_process(info);
    const base::guard hold(threads().lock);
    return send_to(self, info);
  }
  if (wanted.number == order_signal) begin_round(self);
  const base::guard hold(threads().lock);
  program_thread* target = threads().find(static_cast<int>(wanted.thread));
  if (target == nullptr) return -ESRCH;
  if (wanted.number == 0) return 0;
  if ((bit_of(wanted.number) & unblockable) != 0) {
    return kernel_call(SYS_kill, process, wanted.number);
  }
  return send_to(*target, info);
}

}  // namespace treadle::shim
