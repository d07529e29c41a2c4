// waitpid: waits until there is something to reap, then reaps without waiting, so that a limit
// never costs a child's status.
//
// A child that is named has a pidfd, which becomes readable at its end. For any child of a group,
// and for those that stop or go on, there is no descriptor: waitid(WNOWAIT) waits for those where
// it blocks nobody, and is interrupted at a limit.
// Rejected: the plain waitpid() there. One that is interrupted too late would have reaped a child
// that nobody asks for any more, perhaps one with a number in second use.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/io/calls.hpp"
#include "treadle/io/files.hpp"
#include "treadle/io/interruptible.hpp"
#include "treadle/io/park.hpp"

namespace treadle::io {
namespace {

// Until a child of the kind is there to be reaped, or stops or goes on, as wished; or there is none
// at all, which waitpid() then says. 0 or an errno.
int wait_for_any(pid_t which, int options, const wait_limit& limit) noexcept {
  auto wait_once = [=]() noexcept -> ssize_t {
    idtype_t kind = P_PID;
    auto id = static_cast<id_t>(which);
    if (which == -1) {
      kind = P_ALL;
    } else if (which <= 0) {
      kind = P_PGID;
      id = static_cast<id_t>(which == 0 ? ::getpgrp() : -which);
    }
    siginfo_t unused;
    const ssize_t result = as_result(::waitid(kind, id, &unused, WEXITED | WNOWAIT | options));
    return result == -EINTR ? result : 0;
  };
  return static_cast<int>(-call_interruptibly(wait_once, nullptr, limit));
}

enum class news { there_is, unknown, limit };

// At the limit with errno.
news wait_for_end(pid_t which, const wait_limit& limit) noexcept {
  const int before = own_errno();
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, which, 0));
  if (pidfd < 0) {
    own_errno() = before;
    return news::unknown;
  }
  const bool ready = wait_readable(pidfd, limit) >= 0;
  const int error = ready ? before : own_errno();
  close(pidfd);
  const bool over = !ready && (error == ETIMEDOUT || error == ECANCELED);
  own_errno() = over ? error : before;
  if (over) return news::limit;
  return ready ? news::there_is : news::unknown;
}

}  // namespace

pid_t waitpid(pid_t which, int* status, int options, const wait_limit& limit) noexcept {
  if (is_stopped(limit)) return fail_with(ECANCELED);
  // __WNOTHREAD means this kernel thread's children, which no other can wait for.
  if ((options & (WNOHANG | __WNOTHREAD)) != 0 ||
      (!shares_kernel_thread() && !may_end_early(limit))) {
    return ::waitpid(which, status, options);
  }
  for (;;) {
    const pid_t reaped = ::waitpid(which, status, options | WNOHANG);
    if (reaped != 0) return reaped;
    if (limit.until().has_passed()) return fail_with(ETIMEDOUT);
    if (which > 0 && options == 0) {
      const news seen = wait_for_end(which, limit);
      if (seen == news::limit) return -1;
      if (seen == news::there_is) continue;
    }
    if (const int error = wait_for_any(which, options, limit)) return fail_with(error);
  }
}

}  // namespace treadle::io
