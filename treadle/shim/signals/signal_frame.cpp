#include "treadle/shim/signals/signal_frame.hpp"

#include <sys/syscall.h>
#include <ucontext.h>

#include <cerrno>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/signals/signals.hpp"
#include "treadle/shim/threads/order.hpp"

namespace treadle::shim {
namespace {

struct alignas(16) handler_frame {
  saved_call before;
  std::int64_t interrupted_call;  // to be made again, or -1
  siginfo_t info;
  ucontext_t context;
};

// Sourced: signal(7), calls that begin again after a handler with SA_RESTART.
bool begins_again(const saved_call& call, std::int64_t number) noexcept {
  switch (number) {
    case SYS_futex:  // a timed one goes on with what is left only natively
      return call.arguments[3] == 0;
    case SYS_futex_waitv:
    case SYS_read:
    case SYS_readv:
    case SYS_write:
    case SYS_writev:
    case SYS_ioctl:
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_open_by_handle_at:
    case SYS_creat:
    case SYS_vmsplice:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_flock:
    case SYS_fcntl:
    case SYS_mq_timedsend:
    case SYS_mq_timedreceive:
    case SYS_getrandom:
      return true;
    default:
      return false;
  }
}

void fill(ucontext_t& out, const saved_call& from) noexcept {
  greg_t* registers = out.uc_mcontext.gregs;
  const auto as_greg = [](std::uint64_t value) { return static_cast<greg_t>(value); };
  registers[REG_RAX] = from.number;
  registers[REG_RBX] = as_greg(from.rbx);
  registers[REG_RBP] = as_greg(from.rbp);
  registers[REG_R12] = as_greg(from.r12);
  registers[REG_R13] = as_greg(from.r13);
  registers[REG_R14] = as_greg(from.r14);
  registers[REG_R15] = as_greg(from.r15);
  registers[REG_RDI] = as_greg(from.arguments[0]);
  registers[REG_RSI] = as_greg(from.arguments[1]);
  registers[REG_RDX] = as_greg(from.arguments[2]);
  registers[REG_R10] = as_greg(from.arguments[3]);
  registers[REG_R8] = as_greg(from.arguments[4]);
  registers[REG_R9] = as_greg(from.arguments[5]);
  registers[REG_RIP] = as_greg(from.return_address);
  registers[REG_RSP] = as_greg(from.stack_pointer);
}

constexpr int disarms_itself = static_cast<int>(1u << 31);  // sourced: SS_AUTODISARM

// While a handler runs there is none that disarms itself: whoever changes stacks may use it.
bool is_on(const stack_t& alternate, std::uint64_t pointer) noexcept {
  if ((alternate.ss_flags & disarms_itself) != 0) return false;
  const auto bottom = reinterpret_cast<std::uint64_t>(alternate.ss_sp);
  return pointer > bottom && pointer - bottom <= alternate.ss_size;
}

std::uint64_t stack_for(const program_thread& self, const kernel_action& action,
                        std::uint64_t pointer) noexcept {
  constexpr std::uint64_t red_zone = 128;  // sourced: System V ABI, AMD64
  const stack_t& alternate = self.alternate;
  const bool changes = (action.flags & SA_ONSTACK) != 0 && alternate.ss_sp != nullptr &&
                       (alternate.ss_flags & SS_DISABLE) == 0 && !is_on(alternate, pointer);
  return changes ? reinterpret_cast<std::uint64_t>(alternate.ss_sp) + alternate.ss_size
                 : pointer - red_zone;
}

}  // namespace

void run_handler(saved_call& call, const kernel_action& action, const siginfo_t& info) noexcept {
  program_thread& self = *call.caller;
  const std::uint64_t old_mask =
      // relaxed: our own
      self.restores_mask ? self.mask_to_restore : self.mask.load(base::relaxed);
  self.restores_mask = false;
  const std::uint64_t top = stack_for(self, action, call.stack_pointer);
  auto* frame =
      reinterpret_cast<handler_frame*>((top - sizeof(handler_frame)) & ~std::uint64_t{15});
  frame->before = call;
  const bool again =
      call.number == begin_again || (call.number == -EINTR && (action.flags & SA_RESTART) != 0 &&
                                     begins_again(call, self.last_call));
  frame->interrupted_call = again ? self.last_call : -1;
  frame->info = info;
  if (info.si_signo == order_signal) self.in_round = true;
  std::memset(static_cast<void*>(&frame->context), 0, sizeof(frame->context));
  fill(frame->context, call);
  frame->context.uc_stack = self.alternate;
  if ((self.alternate.ss_flags & disarms_itself) != 0) {
    self.alternate = stack_t{nullptr, SS_DISABLE, 0};
  }
  std::memcpy(&frame->context.uc_sigmask, &old_mask, sizeof(old_mask));
  std::uint64_t mask = self.mask.load(base::relaxed) | action.mask;  // relaxed: our own
  if ((action.flags & SA_NODEFER) == 0) mask |= bit_of(info.si_signo);
  set_mask(self, mask);
  if ((action.flags & SA_RESETHAND) != 0) {
    const kernel_action none{};
    static_cast<void>(change_action(info.si_signo, &none, nullptr));
  }
  call.rbx = reinterpret_cast<std::uint64_t>(action.handler);
  call.r12 = reinterpret_cast<std::uint64_t>(frame);
  call.arguments[0] = static_cast<std::uint64_t>(info.si_signo);
  call.arguments[1] = reinterpret_cast<std::uint64_t>(&frame->info);
  call.arguments[2] = reinterpret_cast<std::uint64_t>(&frame->context);
  call.stack_pointer = reinterpret_cast<std::uint64_t>(frame);
  call.return_address = reinterpret_cast<std::uint64_t>(&treadle_shim_handler);
  call.number = 0;
}

long serve_end_of_handler(saved_call& call) noexcept {
  const auto& frame = *reinterpret_cast<const handler_frame*>(call.arguments[0]);
  program_thread* const self = call.caller;
  const greg_t* registers = frame.context.uc_mcontext.gregs;
  std::uint64_t mask;
  std::memcpy(&mask, &frame.context.uc_sigmask, sizeof(mask));
  const std::int64_t again = frame.interrupted_call;
  const int ended = frame.info.si_signo;
  const stack_t stack = frame.context.uc_stack;
  call = frame.before;
  call.caller = self;
  load_control(call);  // what the handler has changed ends with it
  // A handler may have changed where the thread goes on.
  call.return_address = static_cast<std::uint64_t>(registers[REG_RIP]);
  call.stack_pointer = static_cast<std::uint64_t>(registers[REG_RSP]);
  set_mask(*self, mask);
  if ((stack.ss_flags & disarms_itself) != 0) self->alternate = stack;
  if (ended == order_signal) self->in_round = false;
  if (again < 0) return registers[REG_RAX];
  call.number = again;
  return serve(call);
}

long serve_sigaltstack(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const stack_t before = self.alternate;
  if (call.arguments[0] != 0) {
    stack_t wanted;
    if (!read_program(call.arguments[0], wanted)) return -EFAULT;
    constexpr std::size_t least = 2048;  // sourced: MINSIGSTKSZ of the kernel
    const int mode = wanted.ss_flags & ~disarms_itself;
    if (is_on(before, call.stack_pointer)) return -EPERM;
    if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK) return -EINVAL;
    if (mode != SS_DISABLE && wanted.ss_size < least) return -ENOMEM;
    self.alternate = wanted;
    if (mode == SS_DISABLE) self.alternate = stack_t{nullptr, wanted.ss_flags, 0};
  }
  if (call.arguments[1] == 0) return 0;
  stack_t told = before;
  if (is_on(before, call.stack_pointer)) told.ss_flags |= SS_ONSTACK;
  return write_program(call.arguments[1], told) ? 0 : -EFAULT;
}

}  // namespace treadle::shim
