#include "treadle/shim/signals/attendant.hpp"

#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/shim/calls/children.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/pure.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/signals/signal_descriptors.hpp"
#include "treadle/shim/signals/timers.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/order.hpp"

namespace treadle::shim {
namespace {

constinit base::atomic<int> own_number{0};
constinit base::atomic<bool> called{false};  // and has not seen it yet

void send_on(const siginfo_t& info) noexcept {
  const int number = info.si_code == SI_TIMER ? thread_of_timer(info.si_timerid) : 0;
  if (number == nobody) return;
  if (number == 0) return static_cast<void>(send_to_process(info));
  const base::guard hold(threads().lock);
  // Where the thread has ended there is nobody to tell.
  if (program_thread* target = threads().find(number)) static_cast<void>(send_to(*target, info));
}

// Until the next look.
timespec time_to(base::deadline look, bool is_watchdog) noexcept {
  std::int64_t left = watchdog_look_nanoseconds;
  if (!look.is_never()) {
    const std::int64_t until_look = look.nanoseconds() - base::monotonic_now();
    if (!is_watchdog || until_look < left) left = until_look;
  }
  return timespec_of(left > 0 ? left : 0);
}

}  // namespace

void call_attendant() noexcept {
  const int number = own_number.load(base::relaxed);  // relaxed: set long before
  // seq_cst: after what it is to see; pairs with attend()
  if (number == 0 || called.exchange(true, base::seq_cst)) return;
  kernel_call(SYS_tgkill, kernel_call(SYS_getpid), number, attendant_signal);
}

bool can_take_signals() noexcept {
  const std::uint64_t none = 0;
  const timespec at_once{};
  return kernel_call(SYS_rt_sigtimedwait, &none, nullptr, &at_once, sizeof(none)) == -EAGAIN;
}

void become_attendant() noexcept {
  // relaxed: the start of the program's threads publishes it
  own_number.store(static_cast<int>(kernel_call(SYS_gettid)), base::relaxed);
  // libc lets the signal with which it cancels into all its threads; its timers use it, too.
  const std::uint64_t blocked = ~(faults | bit_of(order_signal));
  kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, nullptr, sizeof(blocked));
}

int attendant_number() noexcept { return own_number.load(base::relaxed); }  // relaxed: as above

void attend() noexcept {
  const int process = static_cast<int>(kernel_call(SYS_getpid));
  // Guess: who misses being told, amid its way into a call that blocks or its way out of ours, is
  // told again so much later. Not sooner, however fast signals come: a thread that cannot look
  // would do nothing but be told.
  constexpr std::int64_t soon = 5'000'000;
  const bool is_watchdog = chosen().is_pure;
  const std::uint64_t all = ~(faults | bit_of(order_signal));
  base::deadline look = base::deadline::never();
  for (;;) {
    siginfo_t info{};
    const timespec span = time_to(look, is_watchdog);
    const std::uint64_t set = all & ~left_to_descriptors();
    const bool has_limit = is_watchdog || !look.is_never();
    // Who sleeps changes nothing: a lone worker then needs no locked instructions.
    base::absence away;
    static_cast<void>(away.begin());
    const long found =
        kernel_call(SYS_rt_sigtimedwait, &set, &info, has_limit ? &span : nullptr, sizeof(all));
    away.end();
    if (found > 0) {
      if (found == SIGCHLD) wake_parents();
      const bool reminded =
          found == attendant_signal && info.si_code == SI_TKILL && info.si_pid == process;
      if (reminded) called.store(false, base::seq_cst);  // before it looks; as call_attendant()
      if (!reminded) send_on(info);
      if (look.is_never()) look = base::deadline::at(base::monotonic_now() + soon);
    }
    if (is_watchdog) look_who_blocks();
    if (look.is_never() || !look.has_passed()) continue;
    look = remind() ? base::deadline::at(base::monotonic_now() + soon) : base::deadline::never();
  }
}

}  // namespace treadle::shim
