#include "treadle/shim/signals/faults.hpp"

#include <sys/syscall.h>
#include <ucontext.h>

#include <cstdint>

#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/signal_actions.hpp"

extern "C" {
extern const char treadle_shim_copy_bytes[] __attribute__((visibility("hidden")));
extern const char treadle_shim_copy_end[] __attribute__((visibility("hidden")));
extern const char treadle_shim_words_end[] __attribute__((visibility("hidden")));
}

namespace treadle::shim {
namespace {

std::uint64_t address(const void* of) noexcept { return reinterpret_cast<std::uint64_t>(of); }

// Where a thread goes on that has faulted there, or 0.
std::uint64_t behind(std::uint64_t at) noexcept {
  const std::uint64_t begin = address(reinterpret_cast<const void*>(&treadle_shim_copy));
  if (at < begin || at >= address(treadle_shim_words_end)) return 0;
  if (at < address(treadle_shim_copy_bytes)) return address(treadle_shim_copy_bytes);
  if (at < address(treadle_shim_copy_end)) return address(treadle_shim_copy_end);
  return address(treadle_shim_words_end);
}

// On the stack of who has faulted, on either side: under the program's TLS, mostly. The program's
// handler may jump out of it, or be unwound through it.
void on_fault(int number, siginfo_t* info, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  greg_t& at = context.uc_mcontext.gregs[REG_RIP];
  const bool is_fault = info->si_code > 0;
  if (const std::uint64_t next = behind(static_cast<std::uint64_t>(at)); is_fault && next != 0) {
    at = static_cast<greg_t>(next);
    return;
  }
  const kernel_action own = action_for(number);
  if (own.handler != default_action && own.handler != ignore_action) {
    if ((own.flags & SA_RESETHAND) != 0) {
      const kernel_action none{};
      static_cast<void>(change_action(number, &none, nullptr));
    }
    reinterpret_cast<void (*)(int, siginfo_t*, void*)>(own.handler)(number, info, raw);
    return;
  }
  if (!is_fault && own.handler == ignore_action) return;
  const kernel_action none{};
  kernel_call(SYS_rt_sigaction, number, &none, nullptr, sizeof(none.mask));
  // What has faulted does so again.
  if (!is_fault) {
    kernel_call(SYS_tgkill, kernel_call(SYS_getpid), kernel_call(SYS_gettid), number);
  }
}

}  // namespace

kernel_action guarding(const kernel_action& own) noexcept {
  return {reinterpret_cast<void*>(&on_fault),
          SA_SIGINFO | SA_NODEFER | has_restorer | (own.flags & SA_ONSTACK),
          reinterpret_cast<void*>(&treadle_shim_restorer), 0};
}

}  // namespace treadle::shim
