#include "treadle/shim/threads/privileges.hpp"

#include <sys/syscall.h>
#include <ucontext.h>

#include <cerrno>

#include "treadle/shim/say.hpp"
#include "treadle/shim/threads/order.hpp"

namespace treadle::shim {
namespace {

// libc has one round at a time, under a lock of its own. Guarded by the book's lock, and the
// result by being done.
struct round {
  const program_thread* leader = nullptr;
  bool done = false;
  long result = 0;
};
constinit round current;

constinit base::atomic<bool> said_namespaces{false};
constinit base::atomic<bool> said_tracing{false};

[[noreturn]] void refuse(long number) noexcept {
  fail(
      "the program changes the privileges of one of several threads, which treadle run cannot do: "
      "system call ",
      number);
}

bool is_of_process(long number) noexcept {
  return number == SYS_setuid || number == SYS_setgid || number == SYS_setreuid ||
         number == SYS_setregid || number == SYS_setresuid || number == SYS_setresgid ||
         number == SYS_setgroups;
}

bool is_alone() noexcept { return threads().alive() == 1; }

}  // namespace

bool changes_privileges(long number) noexcept {
  return is_of_process(number) || number == SYS_setfsuid || number == SYS_setfsgid ||
         number == SYS_capset;
}

void begin_round(program_thread& self) noexcept {
  const base::guard hold(threads().lock);
  if (current.leader != &self) current = {&self, false, 0};
}

// The members of a round wait for each other in libc: no two of them are here at once but its
// first ones.
long serve_privileges(saved_call& call) noexcept {
  const program_thread& self = *call.caller;
  if (!is_of_process(call.number)) {
    if (!is_alone()) refuse(call.number);
    return order_all(call);
  }
  const base::guard hold(threads().lock);
  const bool leads = current.leader == &self;
  if (!leads && !(self.in_round && current.leader != nullptr)) return order_all(call);
  if (!current.done) current = {current.leader, true, order_all(call)};
  if (leads) current.leader = nullptr;
  return current.result;
}

long serve_raw_privileges(saved_call& call) noexcept {
  const auto& context = *reinterpret_cast<const ucontext_t*>(call.arguments[0]);
  saved_call there = call;
  there.number = static_cast<std::int64_t>(call.arguments[1]);
  const int order[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  for (int i = 0; i < 6; ++i) {
    there.arguments[i] = static_cast<std::uint64_t>(context.uc_mcontext.gregs[order[i]]);
  }
  if (!is_alone()) refuse(there.number);
  return order_all(there);
}

long serve_namespace(saved_call&) noexcept {
  // relaxed: one line too many is no harm
  if (!said_namespaces.exchange(true, base::relaxed)) {
    say("unshare and setns do not work under treadle run; the program is told EPERM");
  }
  return -EPERM;
}

// A tracer is a kernel thread, and what it traces obeys no other.
long serve_tracing(saved_call&) noexcept {
  // relaxed: as above
  if (!said_tracing.exchange(true, base::relaxed)) {
    say("ptrace does not work under treadle run; the program is told EPERM");
  }
  return -EPERM;
}

long serve_refused_privileges(saved_call& call) noexcept {
  fail("the program changes its privileges in a way that treadle run cannot follow: system call ",
       call.number);
}

}  // namespace treadle::shim
