// waitpid: waits until there is something to reap, then reaps without waiting, so that a limit
// never costs a child's status.
//
// A child that is named has a pidfd, which becomes readable at its end. For any child of a group,
// and for those that stop or go on, there is no descriptor: waitid(WNOWAIT) waits for those on the
// pool, and when it is left behind at a limit, until one of them has something to say.
// Rejected: the plain waitpid() on the pool. One that is left behind at a limit would reap a child
// that nobody asks for any more, perhaps one with a number in second use.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>

#include "treadle/io/calls.hpp"
#include "treadle/io/files.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/pool_call.hpp"

namespace treadle::io {
namespace {

// Until a child of the kind is there to be reaped, or stops or goes on, as wished. Touches nothing
// of the caller's, for it may be left behind.
class wait_for_any final : public pool_call {
 public:
  wait_for_any(pid_t which, int options) noexcept : which_(which), options_(options) {}

 private:
  void work() noexcept final {
    idtype_t kind = P_PID;
    auto id = static_cast<id_t>(which_);
    if (which_ == -1) {
      kind = P_ALL;
    } else if (which_ <= 0) {
      kind = P_PGID;
      id = static_cast<id_t>(which_ == 0 ? ::getpgrp() : -which_);
    }
    siginfo_t unused;
    while (::waitid(kind, id, &unused, WEXITED | WNOWAIT | options_) != 0 && errno == EINTR) {
    }
  }

  pid_t which_;
  int options_;
};

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
    std::unique_ptr<pool_call> call(new (std::nothrow) wait_for_any(which, options));
    if (call == nullptr) return fail_with(ENOMEM);
    const wait_end how = run_on_pool(call, limit);
    if (how != wait_end::done) return fail_with(error_of(how));
  }
}

}  // namespace treadle::io
