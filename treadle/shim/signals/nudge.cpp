#include "treadle/shim/signals/nudge.hpp"

#include <sys/syscall.h>

#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/attendant.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/takeover.hpp"

namespace treadle::shim {
namespace {

bool is_between(std::uint64_t at, const char* begin, const char* end) noexcept {
  return at >= reinterpret_cast<std::uint64_t>(begin) && at < reinterpret_cast<std::uint64_t>(end);
}

void look(ucontext_t& context) {
  greg_t* registers = context.uc_mcontext.gregs;
  seat& here = *seat_in_gs();
  if (here.program_pointer != thread_pointer()) {
    here.looks_again = seat::yes;  // on its way back, which may be past the look
    return;
  }
  const auto at = static_cast<std::uint64_t>(registers[REG_RIP]);
  if (is_between(at, treadle_shim_leaving_begin, treadle_shim_leaving_end)) {
    // On its way back, past the look: what it goes back to is still there, so it goes once more.
    registers[REG_RSP] =
        static_cast<greg_t>(reinterpret_cast<std::uint64_t>(here.side_stack) - sizeof(saved_call));
    registers[REG_RIP] = reinterpret_cast<greg_t>(&treadle_shim_go_back);
    set_thread_pointer(here.runtime_pointer);
    return;
  }
  // On its way in, or at the end of a handler of ours: it is to be told once more. Before that, and
  // where a call goes straight, the signal comes as it would natively: just before the call, or
  // just after it.
  const auto* straight = reinterpret_cast<const char*>(&treadle_shim_straight);
  if (is_between(at, treadle_shim_head_end, treadle_shim_allowed_end) &&
      !is_between(at, straight, treadle_shim_straight_end)) {
    return call_attendant();
  }
  // The program's side goes on with it unblocked, wherever that is.
  constexpr std::uint64_t one = bit_of(nudge_signal);
  kernel_call(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, nullptr, sizeof(one));
  treadle_shim_call(call_look, 0, 0, 0, 0, 0, 0);
  prepare_end_of_handler(context);
}

void on_nudge(int number, siginfo_t* info, void* context) {
  const long process = kernel_call(SYS_getpid);
  if (info->si_code == SI_TKILL && info->si_pid == process) {
    look(*static_cast<ucontext_t*>(context));
  } else {
    // Somebody else's, for the program.
    kernel_call(SYS_tgkill, process, attendant_number(), number);
  }
}

}  // namespace

void take_nudges() noexcept {
  const kernel_action action{reinterpret_cast<void*>(&on_nudge), SA_SIGINFO | has_restorer,
                             reinterpret_cast<void*>(&treadle_shim_restorer), 0};
  take_from_program(nudge_signal, action);
}

void nudge_kernel_thread(int process, int number) noexcept {
  kernel_call(SYS_tgkill, process, number, nudge_signal);
}

void prepare_end_of_handler(ucontext_t& context) noexcept {
  kernel_call(SYS_sigaltstack, nullptr, &context.uc_stack);
  if (in_use()) return;
  kernel_call(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &context.uc_sigmask, sizeof(std::uint64_t));
}

}  // namespace treadle::shim
