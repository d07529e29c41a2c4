#include "treadle/shim/door/seat.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "treadle/base/atomic.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/say.hpp"
#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/takeover.hpp"

extern "C" {
treadle::shim::seat treadle_shim_outside;
}

namespace treadle::shim {
namespace {

// Sourced: <linux/prctl.h>, which older systems' headers lack in part.
constexpr int set_syscall_user_dispatch = 59;
constexpr int dispatch_on = 1;

constinit base::atomic<seat*> last_made{nullptr};

}  // namespace

seat& make_seat() noexcept {
  // One page for one kernel thread: they are few, and it is made once.
  const long memory = kernel_call(SYS_mmap, nullptr, sizeof(seat), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory < 0) fail("there is no memory for a worker of the shim: error ", -memory);
  auto* made = new (reinterpret_cast<void*>(memory)) seat;
  made->runtime_pointer = thread_pointer();
  made->kernel_id = static_cast<int>(kernel_call(SYS_gettid));
  const std::uint64_t blocked = ~signals_of_workers();
  const long unmasked =
      kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, nullptr, sizeof(blocked));
  if (unmasked != 0) fail("the kernel refuses a worker its signal mask: error ", -unmasked);
  const long refused = kernel_call(SYS_prctl, set_syscall_user_dispatch, dispatch_on,
                                   treadle_shim_allowed_begin, allowed_bytes(), &made->selector);
  if (refused != 0) fail("the kernel refuses Syscall User Dispatch for a worker: error ", -refused);
  set_seat_in_gs(made);
  made->next = last_made.load(base::relaxed);  // relaxed: the exchange looks again
  // release: pairs with first_seat(), publishes the seat
  while (!last_made.compare_exchange_weak(made->next, made, base::release, base::relaxed)) {
  }
  return *made;
}

const seat* first_seat() noexcept { return last_made.load(base::acquire); }  // see make_seat()

}  // namespace treadle::shim
