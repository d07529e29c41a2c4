#include "treadle/shim/threads/threads.hpp"

#include <linux/sched.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <cerrno>

#include "treadle/runtime.hpp"
#include "treadle/sched/join.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/processes.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/futexes.hpp"
#include "treadle/shim/threads/last_thread.hpp"
#include "treadle/shim/threads/robust.hpp"
#include "treadle/shim/threads/wanted_task.hpp"
#include "treadle/thread.hpp"

namespace treadle::shim {
namespace {

void begin_thread(void* closure) {
  auto& self = **static_cast<program_thread**>(closure);
  // The door pushes the thread's calls to where this one lies, over all that is below.
  alignas(16) saved_call call = self.beginning;
  call.caller = &self;
  core::thread* mine = core::current_thread_or_null();
  self.self.store(mine, base::release);  // pairs with who sends it a signal
  // The first thread goes on in the middle of its call.
  if (self.is_leader) treadle_shim_serve(&call);
  treadle_shim_go(&call);
}

long add_thread(saved_call& call, const wanted_task& task, const saved_call& beginning) noexcept {
  program_thread& parent = *call.caller;
  program_thread* fresh = threads().add(parent.mask.load(base::relaxed));  // relaxed: our own
  if (fresh == nullptr) return -EAGAIN;
  fresh->beginning = beginning;
  fresh->beginning.number = 0;
  if (task.stack_pointer != 0) fresh->beginning.stack_pointer = task.stack_pointer;
  fresh->beginning.thread_pointer =
      (task.flags & CLONE_SETTLS) != 0 ? task.thread_pointer : call.thread_pointer;
  if ((task.flags & CLONE_CHILD_CLEARTID) != 0) fresh->clear_id = task.child_id;
  fresh->alternate.ss_flags = SS_DISABLE;
  {
    const base::guard hold(threads().lock);
    fresh->traits = inherited(parent.traits);
  }
  const auto number = static_cast<std::uint32_t>(fresh->id);
  // Before it runs: its creator reads the number from there.
  if (((task.flags & CLONE_PARENT_SETTID) != 0 && !write_program(task.parent_id, number)) ||
      ((task.flags & CLONE_CHILD_SETTID) != 0 && !write_program(task.child_id, number))) {
    threads().remove(*fresh);
    return -EFAULT;
  }
  if (const int error = start(*fresh)) {
    threads().remove(*fresh);
    return -error;
  }
  return number;
}

}  // namespace

int start(program_thread& fresh) noexcept {
  core::scheduler_port& scheduler = detail::launch::scheduler_of(*own_runtime());
  int error = 0;
  const core::small_closure closure{{reinterpret_cast<std::uintptr_t>(&fresh), 0}};
  core::thread* made = scheduler.spawn(&begin_thread, closure, error);
  if (made == nullptr) return error == ENOMEM ? EAGAIN : error;
  core::detach(*made);
  return 0;
}

long serve_clone(saved_call& call) noexcept {
  wanted_task task;
  if (!read_task(call, task)) return -EFAULT;
  if ((task.flags & CLONE_THREAD) != 0) return add_thread(call, task, call);
  const long made = serve_fork(call);
  if (made == 0 && task.stack_pointer != 0) call.stack_pointer = task.stack_pointer;
  return made;
}

long serve_trapped_clone(saved_call& call) noexcept {
  auto& context = *reinterpret_cast<ucontext_t*>(call.arguments[0]);
  greg_t* registers = context.uc_mcontext.gregs;
  saved_call there = call;
  there.number = static_cast<std::int64_t>(call.arguments[1]);
  const int order[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  for (int i = 0; i < 6; ++i) {
    there.arguments[i] = static_cast<std::uint64_t>(registers[order[i]]);
  }
  there.rbx = static_cast<std::uint64_t>(registers[REG_RBX]);
  there.rbp = static_cast<std::uint64_t>(registers[REG_RBP]);
  there.r12 = static_cast<std::uint64_t>(registers[REG_R12]);
  there.r13 = static_cast<std::uint64_t>(registers[REG_R13]);
  there.r14 = static_cast<std::uint64_t>(registers[REG_R14]);
  there.r15 = static_cast<std::uint64_t>(registers[REG_R15]);
  there.return_address = static_cast<std::uint64_t>(registers[REG_RIP]);
  there.stack_pointer = static_cast<std::uint64_t>(registers[REG_RSP]);
  wanted_task task;
  if (!read_task(there, task)) return -EFAULT;
  if ((task.flags & CLONE_THREAD) != 0) return add_thread(call, task, there);
  // A child with a stack of its own on our memory would need the trap's way back on that stack.
  if ((task.flags & CLONE_VM) != 0) return -ENOSYS;
  // fork: it comes back from here twice.
  call.number = there.number;
  for (int i = 0; i < 6; ++i) call.arguments[i] = there.arguments[i];
  const long made = serve_fork(call);
  if (made == 0 && task.stack_pointer != 0) {
    registers[REG_RSP] = static_cast<greg_t>(task.stack_pointer);
  }
  return made;
}

long serve_exit(saved_call& call) noexcept {
  switch (act_as_last(call)) {
    case last_act::not_last:
      break;
    case last_act::goes_on:
      return 0;
    case last_act::ends:
      serve_exit_group(call);
  }
  program_thread& self = *call.caller;
  leave_robust_locks(self);
  leave_signals(self);
  std::uint32_t* const clear_id = self.clear_id;
  const auto number = static_cast<std::uint32_t>(self.id);
  core::scheduler_port& scheduler = *core::current_thread_or_null()->scheduler;
  threads().remove(self);
  if (clear_id != nullptr) {
    // From here on the program's stack and TLS may be gone. Where the program has named nothing
    // that is there, nobody is told.
    std::uint32_t before = number;
    while (exchange_word(clear_id, before, 0) == exchanged::no) {
    }
    wake_futex(clear_id, ~0u, ~0u);
  }
  scheduler.exit();
  __builtin_unreachable();
}

}  // namespace treadle::shim
