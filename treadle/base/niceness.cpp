#include "treadle/base/niceness.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"

namespace treadle::base {
namespace {

// The process's own nice value: its main thread's when this is first asked, before it was changed.
int own_nice() noexcept {
  static const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::getpid()));
  return nice;
}

int set_class(pid_t which, int policy) noexcept {
  if (::sched_getscheduler(which) == policy) return 0;
  sched_param none{};
  none.sched_priority = 0;
  return ::sched_setscheduler(which, policy, &none) == 0 ? 0 : errno;
}

int set(pid_t which, urgency wanted) noexcept {
  if (const int error = injected_fault(faulty_call::set_urgency)) return error;
  const int nice = own_nice() + wanted.nice;
  if (wanted.only_idle) return set_class(which, SCHED_IDLE);
  const int policy = ::sched_getscheduler(which);
  if (policy < 0) return errno;
  // The program's own choice of a real-time class is left alone.
  if (policy != SCHED_OTHER && policy != SCHED_IDLE && policy != SCHED_BATCH) return EINVAL;
  if (policy == SCHED_IDLE) {
    if (const int error = set_class(which, SCHED_OTHER)) return error;
  }
  return ::setpriority(PRIO_PROCESS, static_cast<id_t>(which), nice) == 0 ? 0 : errno;
}

}  // namespace

int set_urgency(pid_t which, urgency wanted) noexcept {
  const int saved = errno;
  const int error = set(which, wanted);
  errno = saved;
  return error;
}

}  // namespace treadle::base
