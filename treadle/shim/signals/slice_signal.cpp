#include "treadle/shim/signals/slice_signal.hpp"

#include <dlfcn.h>
#include <sys/syscall.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/threads/order.hpp"

namespace treadle::shim {
namespace {

using handler_function = void (*)(int, siginfo_t*, void*);

constinit base::atomic<int> number_in_use{0};
constinit handler_function inner = nullptr;  // fixed after start

void on_slice_over(int number, siginfo_t* info, void* context) noexcept {
  seat* here = seat_in_gs();
  const std::uint64_t pointer = thread_pointer();
  const bool in_program = here->program_pointer == pointer;
  if (!in_program && here->runtime_pointer != pointer) return inner(number, info, context);
  // Also on the runtime's side: the door stops the program's calls before it changes FS on the way
  // out, and lets the runtime's through after that on the way in. In between our handler's calls
  // would be stopped, too, by a signal that it blocks, which ends the process.
  const std::uint8_t before = here->selector;
  here->selector = seat::allow;
  if (in_program) set_thread_pointer(here->runtime_pointer);
  inner(number, info, context);
  if (in_program) set_thread_pointer(pointer);
  here->selector = before;
}

// Whether the handler is code of this library.
bool is_ours(void* handler) noexcept {
  Dl_info own{};
  Dl_info found{};
  return ::dladdr(reinterpret_cast<void*>(&wrap_slice_signal), &own) != 0 &&
         ::dladdr(handler, &found) != 0 && own.dli_fbase == found.dli_fbase;
}

}  // namespace

void wrap_slice_signal() noexcept {
  for (int number = 63; number > 34; --number) {  // sourced: as the runtime looks for one
    kernel_action action{};
    kernel_call(SYS_rt_sigaction, number, nullptr, &action, sizeof(action.mask));
    if (action.handler == default_action || action.handler == ignore_action) continue;
    if (!is_ours(action.handler)) continue;
    inner = reinterpret_cast<handler_function>(action.handler);
    action.handler = reinterpret_cast<void*>(&on_slice_over);
    action.flags |= has_restorer;
    action.mask &= ~bit_of(order_signal);  // also a worker that is stopped for long follows orders
    action.restorer = reinterpret_cast<void*>(&treadle_shim_restorer);
    kernel_call(SYS_rt_sigaction, number, &action, nullptr, sizeof(action.mask));
    number_in_use.store(number, base::release);  // pairs with slice_signal()
    return;
  }
}

int slice_signal() noexcept { return number_in_use.load(base::acquire); }  // as above

}  // namespace treadle::shim
