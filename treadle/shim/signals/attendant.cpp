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
#include "treadle/shim/signals/slices.hpp"
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

// What it does from time to time: the time until the next, if any.
class calendar {
 public:
  explicit calendar(std::int64_t period) noexcept : period_(period) {}

  // Once, so much later, unless that is soon to be anyway.
  void remind_in(std::int64_t span) noexcept {
    if (reminder_.is_never()) reminder_ = base::deadline::at(base::monotonic_now() + span);
  }
  bool is_time_to_remind() noexcept {
    if (reminder_.is_never() || !reminder_.has_passed()) return false;
    reminder_ = base::deadline::never();
    return true;
  }
  bool is_end_of_period() noexcept {
    if (period_ == 0) return false;
    const std::int64_t now = base::monotonic_now();
    if (now < next_) return false;
    next_ = now + period_;
    return true;
  }
  // False: for ever.
  bool time_left(timespec& out) const noexcept {
    if (period_ == 0 && reminder_.is_never()) return false;
    std::int64_t until = period_ != 0 ? next_ : reminder_.nanoseconds();
    if (!reminder_.is_never() && reminder_.nanoseconds() < until) until = reminder_.nanoseconds();
    const std::int64_t left = until - base::monotonic_now();
    out = timespec_of(left > 0 ? left : 0);
    return true;
  }

 private:
  std::int64_t period_;  // 0: none
  std::int64_t next_ = 0;
  base::deadline reminder_ = base::deadline::never();
};

}  // namespace

void call_attendant() noexcept {
  const int number = own_number.load(base::relaxed);  // relaxed: set long before
  // seq_cst: after what it is to see; pairs with attend()
  if (number == 0 || called.exchange(true, base::seq_cst)) return;
  kernel_call(SYS_tgkill, kernel_call(SYS_getpid), number, attendant_signal);
}

void take_what_is_sent() noexcept {
  const std::uint64_t left = faults | signals_of_workers() | bit_of(attendant_signal) |
                             bit_of(SIGCHLD) | read_by_descriptors();
  siginfo_t info{};
  while (take_from_kernel(~left, info)) send_on(info);
  wait_until_left();
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
  calendar dates(is_watchdog ? watchdog_look_nanoseconds : chosen().slice_nanoseconds);
  const std::uint64_t all = ~(faults | bit_of(order_signal));
  for (;;) {
    siginfo_t info{};
    timespec span{};
    const bool has_limit = dates.time_left(span);
    const std::uint64_t set = all & ~left_to_descriptors();
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
      dates.remind_in(soon);
    }
    if (dates.is_end_of_period()) is_watchdog ? look_who_blocks() : end_slices(process);
    if (dates.is_time_to_remind() && remind()) dates.remind_in(soon);
  }
}

}  // namespace treadle::shim
