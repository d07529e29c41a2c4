#include "treadle/shim/threads/traits.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {
namespace {

// Sourced: <linux/sched/types.h>, its first version.
struct scheduling_attributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;
  std::uint64_t deadline;
  std::uint64_t period;
};
static_assert(sizeof(scheduling_attributes) == 48);

constexpr int nice_most = 19;
constexpr int nice_least = -20;

// With the book's lock held. Null when it is none of ours.
program_thread* find(program_thread& self, std::uint64_t number) noexcept {
  if (number == 0) return &self;
  return threads().find(static_cast<int>(number));
}

bool is_privileged() noexcept { return kernel_call(SYS_geteuid) == 0; }

// As the kernel: what an unprivileged process may have of a limit.
bool is_allowed(int limit, long most) noexcept {
  rlimit64 found{};
  if (is_privileged()) return true;
  return kernel_call(SYS_prlimit64, 0, limit, nullptr, &found) == 0 &&
         static_cast<long>(found.rlim_cur) >= most;
}

long check_class(int policy, int priority) noexcept {
  switch (policy & ~SCHED_RESET_ON_FORK) {
    case SCHED_OTHER:
    case SCHED_BATCH:
    case SCHED_IDLE:
      return priority == 0 ? 0 : -EINVAL;
    case SCHED_FIFO:
    case SCHED_RR:
      if (priority < 1 || priority > 99) return -EINVAL;
      return is_allowed(RLIMIT_RTPRIO, priority) ? 0 : -EPERM;
    default:
      return -EINVAL;
  }
}

long check_nice(int before, int wanted) noexcept {
  // RLIMIT_NICE counts the other way round. Source: getrlimit(2).
  return wanted >= before || is_allowed(RLIMIT_NICE, 20 - wanted) ? 0 : -EACCES;
}

long set_class(thread_traits& of, int policy, int priority) noexcept {
  if (const long error = check_class(policy, priority)) return error;
  of.policy = policy;
  of.priority = priority;
  return 0;
}

long set_attributes(thread_traits& of, const saved_call& call) noexcept {
  scheduling_attributes wanted{};
  const auto* from = reinterpret_cast<const scheduling_attributes*>(call.arguments[1]);
  if (from == nullptr || call.arguments[2] != 0) return -EINVAL;
  if (!read_program(from, wanted)) return -EFAULT;
  constexpr std::uint64_t reset_on_fork = 1;
  if (wanted.size < sizeof(wanted) || (wanted.flags & ~reset_on_fork) != 0) return -EINVAL;
  if (wanted.nice < nice_least || wanted.nice > nice_most) return -EINVAL;
  if (const long error = check_nice(of.nice, wanted.nice)) return error;
  const int flag = (wanted.flags & reset_on_fork) != 0 ? SCHED_RESET_ON_FORK : 0;
  const long error =
      set_class(of, static_cast<int>(wanted.policy) | flag, static_cast<int>(wanted.priority));
  if (error == 0) of.nice = wanted.nice;
  return error;
}

long get_attributes(const thread_traits& of, const saved_call& call) noexcept {
  scheduling_attributes found{};
  auto* const to = reinterpret_cast<void*>(call.arguments[1]);
  if (to == nullptr || call.arguments[2] < sizeof(found) || call.arguments[3] != 0) return -EINVAL;
  found.size = sizeof(found);
  found.policy = static_cast<std::uint32_t>(of.policy & ~SCHED_RESET_ON_FORK);
  found.flags = (of.policy & SCHED_RESET_ON_FORK) != 0 ? 1 : 0;
  found.nice = of.nice;
  found.priority = static_cast<std::uint32_t>(of.priority);
  return write_program(to, found) ? 0 : -EFAULT;
}

// The kernel says which CPUs there are, and which of these are allowed: of the leader's kernel
// thread, which never runs again, and gets its own back.
long set_cpus(program_thread& which, const saved_call& call) noexcept {
  const int leader = static_cast<int>(kernel_call(SYS_getpid));
  thread_traits& of = which.traits;
  const long error =
      kernel_call(SYS_sched_setaffinity, leader, call.arguments[1], call.arguments[2]);
  if (error != 0) return error;
  std::uint64_t found[thread_traits::cpu_words] = {};
  kernel_call(SYS_sched_getaffinity, leader, sizeof(found), found);
  std::memcpy(of.cpus, found, sizeof(found));
  if (which.is_leader) return 0;
  if (const program_thread* first = threads().find(leader)) {
    kernel_call(SYS_sched_setaffinity, leader, sizeof(found), first->traits.cpus);
  }
  return 0;
}

// Gives as many bytes as the kernel does.
long get_cpus(const thread_traits& of, const saved_call& call) noexcept {
  const auto leader = static_cast<std::uint64_t>(kernel_call(SYS_getpid));
  saved_call asked = call;
  asked.arguments[0] = leader;
  const long bytes = pass_on(asked);
  if (bytes <= 0 || static_cast<std::size_t>(bytes) > sizeof(of.cpus)) return bytes;
  auto* const to = reinterpret_cast<void*>(call.arguments[2]);
  return copy_all(to, of.cpus, static_cast<std::size_t>(bytes)) ? bytes : -EFAULT;
}

long serve_parameter(thread_traits& of, const saved_call& call) noexcept {
  sched_param wanted{};
  const bool sets_class = call.number == SYS_sched_setscheduler;
  auto* const parameter = reinterpret_cast<sched_param*>(call.arguments[sets_class ? 2 : 1]);
  if (parameter == nullptr) return -EINVAL;
  if (call.number == SYS_sched_getparam) {
    wanted.sched_priority = of.priority;
    return write_program(parameter, wanted) ? 0 : -EFAULT;
  }
  if (!read_program(parameter, wanted)) return -EFAULT;
  const int policy = sets_class ? static_cast<int>(call.arguments[1]) : of.policy;
  return set_class(of, policy, wanted.sched_priority);
}

}  // namespace

thread_traits inherited(const thread_traits& parent) noexcept {
  thread_traits made = parent;
  if ((parent.policy & SCHED_RESET_ON_FORK) == 0) return made;
  made.policy = made.priority = 0;
  if (made.nice < 0) made.nice = 0;
  return made;
}

void learn_traits(thread_traits& of) noexcept {
  kernel_call(SYS_prctl, PR_GET_NAME, of.name);
  of.policy = static_cast<int>(kernel_call(SYS_sched_getscheduler, 0));
  sched_param parameter{};
  kernel_call(SYS_sched_getparam, 0, &parameter);
  of.priority = parameter.sched_priority;
  of.nice = 20 - static_cast<int>(kernel_call(SYS_getpriority, PRIO_PROCESS, 0));
  kernel_call(SYS_sched_getaffinity, 0, sizeof(of.cpus), of.cpus);
}

// May fail where the process has given up the privilege meanwhile; there is nobody to tell.
void give_traits_to_child(const thread_traits& parent) noexcept {
  const thread_traits wanted = inherited(parent);
  thread_traits found;
  learn_traits(found);
  if (std::memcmp(wanted.name, found.name, sizeof(found.name)) != 0) {
    kernel_call(SYS_prctl, PR_SET_NAME, wanted.name);
  }
  if (std::memcmp(wanted.cpus, found.cpus, sizeof(found.cpus)) != 0) {
    kernel_call(SYS_sched_setaffinity, 0, sizeof(wanted.cpus), wanted.cpus);
  }
  if (wanted.nice != found.nice) kernel_call(SYS_setpriority, PRIO_PROCESS, 0, wanted.nice);
  if (wanted.policy != found.policy || wanted.priority != found.priority) {
    sched_param parameter{};
    parameter.sched_priority = wanted.priority;
    kernel_call(SYS_sched_setscheduler, 0, wanted.policy, &parameter);
  }
}

long serve_scheduling(saved_call& call) noexcept {
  const base::guard hold(threads().lock);
  program_thread* const which = find(*call.caller, call.arguments[0]);
  if (which == nullptr) return pass_on(call);  // another process
  switch (call.number) {
    case SYS_sched_getscheduler:
      return which->traits.policy;
    case SYS_sched_setscheduler:
    case SYS_sched_setparam:
    case SYS_sched_getparam:
      return serve_parameter(which->traits, call);
    case SYS_sched_setattr:
      return set_attributes(which->traits, call);
    case SYS_sched_getattr:
      return get_attributes(which->traits, call);
    case SYS_sched_setaffinity:
      return set_cpus(*which, call);
    case SYS_sched_getaffinity:
      return get_cpus(which->traits, call);
    default: {  // sched_rr_get_interval: the process's
      saved_call asked = call;
      asked.arguments[0] = static_cast<std::uint64_t>(kernel_call(SYS_getpid));
      return pass_on(asked);
    }
  }
}

long serve_niceness(saved_call& call) noexcept {
  if (call.arguments[0] != PRIO_PROCESS) return pass_on(call);
  const base::guard hold(threads().lock);
  program_thread* const which = find(*call.caller, call.arguments[1]);
  if (which == nullptr) return pass_on(call);
  int& nice = which->traits.nice;
  if (call.number == SYS_getpriority) return 20 - nice;
  int wanted = static_cast<int>(call.arguments[2]);
  wanted = wanted < nice_least ? nice_least : wanted > nice_most ? nice_most : wanted;
  if (const long error = check_nice(nice, wanted)) return error;
  nice = wanted;
  return 0;
}

void rename(program_thread& which, const char* text, std::size_t bytes) noexcept {
  char(&name)[16] = which.traits.name;
  std::size_t size = 0;
  while (size < sizeof(name) - 1 && size < bytes && text[size] != '\0') ++size;
  std::memset(name, 0, sizeof(name));
  std::memcpy(name, text, size);
  if (!which.is_leader) return;
  // The process's name is that of its leader, for ps and for who looks for it.
  const long file = kernel_call(SYS_openat, AT_FDCWD, "/proc/self/comm", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  kernel_call(SYS_write, file, name, size);
  kernel_call(SYS_close, file);
}

long serve_set_name(saved_call& call) noexcept {
  char name[16] = {};
  const auto* from = reinterpret_cast<const char*>(call.arguments[1]);
  if (copy_some(name, from, sizeof(name) - 1) == 0) return -EFAULT;
  const base::guard hold(threads().lock);
  rename(*call.caller, name, sizeof(name) - 1);
  return 0;
}

long serve_get_name(saved_call& call) noexcept {
  const base::guard hold(threads().lock);
  return write_program(call.arguments[1], call.caller->traits.name) ? 0 : -EFAULT;
}

}  // namespace treadle::shim
