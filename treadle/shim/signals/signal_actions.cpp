#include "treadle/shim/signals/signal_actions.hpp"

#include <sys/syscall.h>

#include <cerrno>

#include "treadle/base/spin_lock.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/say.hpp"
#include "treadle/shim/signals/faults.hpp"
#include "treadle/shim/signals/slice_signal.hpp"
#include "treadle/shim/stats.hpp"

namespace treadle::shim {
namespace {

struct action_table {
  base::spin_lock lock;
  // Guarded by lock.
  bool known[signal_count + 1] = {};
  kernel_action actions[signal_count + 1] = {};
  std::uint64_t taken = 0;  // the kernel has an action of ours for these
  bool guards = false;      // and one of ours that asks the program's, for faults
};
constinit action_table table;

// Ours: the program's own action for it is kept, but the kernel does not know it. With the lock
// held.
bool is_kept_from_kernel(int number) noexcept {
  return (table.taken & bit_of(number)) != 0 || (number == slice_signal() && number != 0);
}

// With the lock held.
kernel_action& entry(int number) noexcept {
  kernel_action& found = table.actions[number];
  if (!table.known[number]) {
    table.known[number] = true;
    if (!is_kept_from_kernel(number)) {
      kernel_call(SYS_rt_sigaction, number, nullptr, &found, sizeof(found.mask));
    }
  }
  return found;
}

// Sourced: signal(7).
constexpr std::uint64_t ignored_by_default =
    bit_of(SIGCHLD) | bit_of(SIGURG) | bit_of(SIGWINCH) | bit_of(SIGCONT);

}  // namespace

kernel_action action_for(int number) noexcept {
  const base::guard hold(table.lock);
  return entry(number);
}

long change_action(int number, const kernel_action* wanted, kernel_action* before) noexcept {
  if (number < 1 || number > signal_count) return -EINVAL;
  const kernel_action fresh = wanted != nullptr ? *wanted : kernel_action{};
  kernel_action old{};
  long error = 0;
  {
    const base::guard hold(table.lock);
    kernel_action& mine = entry(number);
    old = mine;
    if (wanted != nullptr && !is_kept_from_kernel(number)) {
      kernel_action told = fresh;
      // A handler of the kernel's ends on the program's side: by our own way back.
      told.flags |= has_restorer;
      told.restorer = reinterpret_cast<void*>(&treadle_shim_restorer);
      if ((bit_of(number) & faults) != 0) {
        // A handler that is left by a jump must not leave the worker's mask changed.
        told.flags |= SA_NODEFER;
        told.mask = 0;
      }
      if (is_guarded(number) && table.guards) told = guarding(fresh);
      error = kernel_call(SYS_rt_sigaction, number, &told, nullptr, sizeof(told.mask));
    }
    if (wanted != nullptr && error == 0) mine = fresh;
  }
  if (error == 0 && before != nullptr) *before = old;
  return error;
}

void take_from_program(int number, const kernel_action& ours) noexcept {
  const base::guard hold(table.lock);
  static_cast<void>(entry(number));
  table.taken |= bit_of(number);
  const long refused = kernel_call(SYS_rt_sigaction, number, &ours, nullptr, sizeof(ours.mask));
  // Threads of the program are about to run, and would be ended by the signal.
  if (refused != 0)
    fail("the kernel refuses a handler for a signal of the shim's: error ", -refused);
}

void guard_faults() noexcept {
  const base::guard hold(table.lock);
  table.guards = true;
  for (const int number : {SIGSEGV, SIGBUS}) {
    const kernel_action ours = guarding(entry(number));
    kernel_call(SYS_rt_sigaction, number, &ours, nullptr, sizeof(ours.mask));
  }
}

void tell_ignored_faults() noexcept {
  const base::guard hold(table.lock);
  for (const int number : {SIGSEGV, SIGBUS}) {
    const kernel_action& own = entry(number);
    if (own.handler != ignore_action) continue;
    kernel_call(SYS_rt_sigaction, number, &own, nullptr, sizeof(own.mask));
  }
}

// Somebody who has no thread here any more may have held the lock.
void give_back_to_program() noexcept {
  for (int number = 1; number <= signal_count; ++number) {
    if (!is_kept_from_kernel(number) && !is_guarded(number)) continue;
    const kernel_action& own = table.actions[number];
    kernel_call(SYS_rt_sigaction, number, &own, nullptr, sizeof(own.mask));
  }
}

disposition disposition_of(int number) noexcept {
  const kernel_action action = action_for(number);
  if (action.handler == ignore_action) return disposition::ignore;
  if (action.handler != default_action) return disposition::handle;
  return (ignored_by_default & bit_of(number)) != 0 ? disposition::ignore : disposition::by_default;
}

void act_by_default(int number) noexcept {
  write_stats();
  const std::uint64_t one = bit_of(number);
  const long process = kernel_call(SYS_getpid);
  const long self = kernel_call(SYS_gettid);
  kernel_call(SYS_tgkill, process, self, number);
  kernel_call(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, nullptr, sizeof(one));
  kernel_call(SYS_rt_sigprocmask, SIG_BLOCK, &one, nullptr, sizeof(one));
}

}  // namespace treadle::shim
