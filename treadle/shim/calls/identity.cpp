#include "treadle/shim/calls/identity.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/cpu_time.hpp"
#include "treadle/shim/threads/privileges.hpp"
#include "treadle/shim/threads/robust.hpp"

namespace treadle::shim {
namespace {

constexpr int get_tid_address = 40;  // sourced: PR_GET_TID_ADDRESS

bool means_self(const program_thread& self, std::uint64_t number) noexcept {
  return number == 0 || static_cast<int>(number) == self.id;
}

}  // namespace

long serve_gettid(saved_call& call) noexcept { return call.caller->id; }

long serve_set_tid_address(saved_call& call) noexcept {
  call.caller->clear_id = reinterpret_cast<std::uint32_t*>(call.arguments[0]);
  return call.caller->id;
}

long serve_set_robust_list(saved_call& call) noexcept {
  if (call.arguments[1] != sizeof(robust_head)) return -EINVAL;
  call.caller->robust = reinterpret_cast<robust_head*>(call.arguments[0]);
  return 0;
}

long serve_get_robust_list(saved_call& call) noexcept {
  if (!means_self(*call.caller, call.arguments[0])) return -EPERM;
  const std::size_t size = sizeof(robust_head);
  const bool told = write_program(call.arguments[2], size) &&
                    write_program(call.arguments[1], call.caller->robust);
  return told ? 0 : -EFAULT;
}

// A restartable sequence belongs to a kernel thread. The area says that there is none; an error
// instead ends the process: libc expects of every thread what its first one got.
long serve_rseq(saved_call& call) noexcept {
  auto* area = reinterpret_cast<rseq*>(call.arguments[0]);
  const bool ends = (call.arguments[2] & 1) != 0;  // sourced: RSEQ_FLAG_UNREGISTER
  const auto none = static_cast<std::uint32_t>(RSEQ_CPU_ID_REGISTRATION_FAILED);
  return ends || write_program(&area->cpu_id, none) ? 0 : -EFAULT;
}

long serve_prctl(saved_call& call) noexcept {
  switch (static_cast<int>(call.arguments[0])) {
    case get_tid_address:
      return write_program(call.arguments[1], call.caller->clear_id) ? 0 : -EFAULT;
    case PR_SET_NAME:
      return serve_set_name(call);
    case PR_GET_NAME:
      return serve_get_name(call);
    case PR_SET_TSC:
      // A kernel thread's, and our clock reads that counter.
      return call.arguments[1] == PR_TSC_SIGSEGV ? -EINVAL : pass_on(call);
    case PR_SET_SECCOMP:
      return serve_refused_privileges(call);
    case PR_SET_NO_NEW_PRIVS:
    case PR_CAPBSET_DROP:
    case PR_SET_KEEPCAPS:
    case PR_SET_SECUREBITS:
      return serve_privileges(call);
    default:
      return pass_on(call);
  }
}

long serve_arch_prctl(saved_call& call) noexcept {
  constexpr std::uint64_t set_gs = 0x1001;  // sourced: <asm/prctl.h>
  constexpr std::uint64_t set_fs = 0x1002;
  constexpr std::uint64_t get_fs = 0x1003;
  switch (call.arguments[0]) {
    case set_fs:
      call.thread_pointer = call.arguments[1];
      return 0;
    case get_fs:
      return write_program(call.arguments[1], call.thread_pointer) ? 0 : -EFAULT;
    case set_gs:
      return -EPERM;  // the shim's own
    default:
      return pass_on(call);
  }
}

void learn_leader(program_thread& leader) noexcept {
  std::uint32_t* clear_id = nullptr;
  if (kernel_call(SYS_prctl, get_tid_address, &clear_id) == 0) leader.clear_id = clear_id;
  robust_head* list = nullptr;
  std::size_t size = 0;
  if (kernel_call(SYS_get_robust_list, 0, &list, &size) == 0) leader.robust = list;
  stack_t alternate{};
  kernel_call(SYS_sigaltstack, nullptr, &alternate);
  leader.alternate = alternate;
  learn_traits(leader.traits);
  learn_cpu_time(leader);
}

}  // namespace treadle::shim
