#include "treadle/shim/door/trap.hpp"

#include <linux/futex.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/patch.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/nudge.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/threads/privileges.hpp"

namespace treadle::shim {
namespace {

kernel_action action_of(int number) noexcept {
  kernel_action found{};
  kernel_call(SYS_rt_sigaction, number, nullptr, &found, sizeof(found.mask));
  return found;
}

void set_action(int number, const kernel_action& wanted) noexcept {
  kernel_call(SYS_rt_sigaction, number, &wanted, nullptr, sizeof(wanted.mask));
}

long pass_on(const greg_t* registers) noexcept {
  return kernel_call(registers[REG_RAX], registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                     registers[REG_R10], registers[REG_R8], registers[REG_R9]);
}

// Past libc's functions: by its syscall(), or by an instruction of the program's own.
bool is_raw(std::uint64_t after) noexcept {
  constexpr std::uint64_t function_bytes = 64;  // guess: glibc's syscall() has some forty
  const auto function = reinterpret_cast<std::uint64_t>(&::syscall);
  return !is_in_libc(after) || (after > function && after <= function + function_bytes);
}

// On the program's stack, under the thread's own TLS. A thread that is cancelled in the call is
// unwound through it.
void on_trap(int, siginfo_t*, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  greg_t* registers = context.uc_mcontext.gregs;
  const auto after = static_cast<std::uint64_t>(registers[REG_RIP]);
  long number = registers[REG_RAX];
  if (seat_in_gs()->program_pointer != thread_pointer()) {
    registers[REG_RAX] = pass_on(registers);
    return;
  }
  // A child on its parent's memory would go on in this very handler: it gets a copy instead.
  if (number == SYS_vfork) number = SYS_fork;
  if (number == SYS_clone || number == SYS_clone3) {
    registers[REG_RAX] =
        treadle_shim_call(call_trapped_clone, reinterpret_cast<long>(&context), number, 0, 0, 0, 0);
  } else if (changes_privileges(number) && is_raw(after)) {
    registers[REG_RAX] = treadle_shim_call(call_raw_privileges, reinterpret_cast<long>(&context),
                                           number, 0, 0, 0, 0);
  } else if (number == SYS_exit) {
    treadle_shim_call(number, registers[REG_RDI], is_raw(after) ? 1 : 0, 0, 0, 0, 0);
  } else {
    // A lock of another library's own (a sanitizer's) may be taken on both sides, like libc's, and
    // on the runtime's side its calls go past us: as if another process shared it.
    const bool is_foreign = number == SYS_futex && !is_in_libc(after);
    const long second = is_foreign ? registers[REG_RSI] & ~FUTEX_PRIVATE_FLAG : registers[REG_RSI];
    registers[REG_RAX] =
        treadle_shim_call(number, registers[REG_RDI], second, registers[REG_RDX],
                          registers[REG_R10], registers[REG_R8], registers[REG_R9]);
  }
  prepare_end_of_handler(context);
}

}  // namespace

bool is_raw_exit(const saved_call& call) noexcept {
  // One that was trapped comes from here, and says so itself; libc has no second argument for it.
  return is_in_libc(call.return_address) ? is_raw(call.return_address) : call.arguments[1] != 0;
}

void trap_calls() noexcept {
  const kernel_action action{reinterpret_cast<void*>(&on_trap),
                             SA_SIGINFO | SA_NODEFER | has_restorer,
                             reinterpret_cast<void*>(&treadle_shim_restorer), 0};
  take_from_program(SIGSYS, action);
}

fault_actions remember_fault_actions() noexcept { return {action_of(SIGSEGV), action_of(SIGBUS)}; }

void restore(const fault_actions& before) noexcept {
  set_action(SIGSEGV, before.segv);
  set_action(SIGBUS, before.bus);
}

void give_up_rseq() noexcept {
  constexpr int unregister = 1;               // sourced: RSEQ_FLAG_UNREGISTER
  constexpr unsigned signature = 0x53053053;  // sourced: RSEQ_SIG of glibc on x86
  if (__rseq_size == 0) return;
  auto* area =
      reinterpret_cast<rseq*>(thread_pointer() + static_cast<std::uint64_t>(__rseq_offset));
  kernel_call(SYS_rseq, area, 32, unregister, signature);
  area->cpu_id = static_cast<std::uint32_t>(RSEQ_CPU_ID_REGISTRATION_FAILED);
}

}  // namespace treadle::shim
