// kill(2) and its relatives.
#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/attendant.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/signals/signals.hpp"
#include "treadle/shim/threads/order.hpp"
#include "treadle/shim/threads/privileges.hpp"

namespace treadle::shim {
namespace {

// Which thread a call means; -1 for the process.
struct sending {
  long thread;
  int number;
  const siginfo_t* info;
};

// Each thread's number stands for the process, too.
bool is_process(int number) noexcept {
  if (number == this_process()) return true;
  const base::guard hold(threads().lock);
  return threads().find(number) != nullptr;
}

bool read_sending(const saved_call& call, sending& out) noexcept {
  const auto argument = [&call](int i) { return static_cast<int>(call.arguments[i]); };
  switch (call.number) {
    case SYS_kill:
      out = {-1, argument(1), nullptr};
      return is_process(argument(0));
    case SYS_rt_sigqueueinfo:
      out = {-1, argument(1), reinterpret_cast<const siginfo_t*>(call.arguments[2])};
      return is_process(argument(0));
    case SYS_tkill:
      out = {argument(0), argument(1), nullptr};
      return true;
    case SYS_tgkill:
      out = {argument(1), argument(2), nullptr};
      return argument(0) == this_process();
    default:  // rt_tgsigqueueinfo
      out = {argument(1), argument(2), reinterpret_cast<const siginfo_t*>(call.arguments[3])};
      return argument(0) == this_process();
  }
}

}  // namespace

long serve_kill(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  sending wanted{};
  if (!read_sending(call, wanted)) {
    const long error = kernel_call(call.number, call.arguments[0], call.arguments[1],
                                   call.arguments[2], call.arguments[3]);
    const bool is_group = call.number == SYS_kill && static_cast<int>(call.arguments[0]) <= 0;
    if (error == 0 && is_group) take_what_is_sent();
    return error;
  }
  if (wanted.number < 0 || wanted.number > signal_count) return -EINVAL;
  siginfo_t info{};
  if (wanted.info != nullptr && !read_program(wanted.info, info)) return -EFAULT;
  info.si_signo = wanted.number;
  if (wanted.info == nullptr) {
    info.si_code = wanted.thread >= 0 ? SI_TKILL : SI_USER;
    info.si_pid = this_process();
    info.si_uid = static_cast<uid_t>(kernel_call(SYS_getuid));
  }
  if (wanted.thread < 0) {
    if (wanted.number == 0) return 0;
    if ((bit_of(wanted.number) & unblockable) != 0) {
      return kernel_call(SYS_kill, this_process(), wanted.number);
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
    return kernel_call(SYS_kill, this_process(), wanted.number);
  }
  return send_to(*target, info);
}

// By the kernel's hand, perhaps to this process.
long serve_sending_by_descriptor(saved_call& call) noexcept {
  const long error = pass_on(call);
  if (error == 0) take_what_is_sent();
  return error;
}

namespace {
// Once this process has asked for a signal: who sends to a queue may be telling itself.
constinit base::atomic<bool> asks_of_queues{false};
}  // namespace

long serve_queue_notice(saved_call& call) noexcept {
  const auto* wanted = reinterpret_cast<const sigevent*>(call.arguments[1]);
  const long error = pass_on(call);
  // relaxed: by whoever sends after this
  if (error == 0 && wanted != nullptr) asks_of_queues.store(true, base::relaxed);
  return error;
}

long serve_queue_send(saved_call& call) noexcept {
  const long error = pass_on_blocking(call);
  // relaxed: as above
  if (error == 0 && asks_of_queues.load(base::relaxed)) take_what_is_sent();
  return error;
}

}  // namespace treadle::shim
