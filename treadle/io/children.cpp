// waitpid: waits until there is something to reap, then reaps without waiting, so that a limit
// never costs a child's status.
//
// A child that is named has a pidfd, which becomes readable at its end. For any child of a group,
// and for those that stop or go on, there is no descriptor: waitid(WNOWAIT) waits for those.
// Rejected: the plain waitpid() on the pool. One that is left behind at a limit would reap a child
// that nobody asks for any more, perhaps one with a number in second use.
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <new>

#include "treadle/io/file_request.hpp"
#include "treadle/io/file_ring.hpp"
#include "treadle/io/files.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/pool_call.hpp"

namespace treadle::io {
namespace {

// Until a child of the kind is there to be reaped. Owns what it needs, for it may be left behind.
class news_of_children final : public pool_call {
 public:
  news_of_children(pid_t which, int options, base::deadline until) noexcept
      : which_(which), options_(options & ~WNOHANG), until_(until) {
    if (which > 0 && options_ == 0) {
      pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, which, 0));
    }
  }
  ~news_of_children() final {
    if (pidfd_ >= 0) ::close(pidfd_);
  }

 private:
  void work() noexcept final {
    if (pidfd_ >= 0) {
      wait_for_end();
    } else {
      wait_for_any();
    }
  }

  // Comes back at the deadline, so that the pool's thread is free again.
  void wait_for_end() noexcept {
    pollfd end{pidfd_, POLLIN, 0};
    int ready = 0;
    while (ready <= 0) {
      int milliseconds = -1;
      if (!until_.is_never()) {
        const std::int64_t left = (until_.nanoseconds() - base::monotonic_now()) / 1'000'000;
        if (left < 0) return;
        milliseconds = static_cast<int>(std::min<std::int64_t>(left + 1, INT_MAX));
      }
      ready = ::poll(&end, 1, milliseconds);
      if (ready < 0 && errno != EINTR) return;
    }
  }

  void wait_for_any() noexcept {
    idtype_t kind = P_PID;
    id_t id = 0;
    if (which_ == -1) {
      kind = P_ALL;
    } else if (which_ <= 0) {
      kind = P_PGID;
      id = static_cast<id_t>(which_ == 0 ? ::getpgrp() : -which_);
    } else {
      id = static_cast<id_t>(which_);
    }
    siginfo_t unused;
    while (::waitid(kind, id, &unused, WEXITED | WNOWAIT | options_) != 0 && errno == EINTR) {
    }
  }

  pid_t which_;
  int options_;
  base::deadline until_;
  int pidfd_ = -1;
};

enum class news { there_is, unknown, limit };

// Through io_uring, which can take the wait back. At the limit with errno.
news wait_for_end(pid_t which, const wait_limit& limit) noexcept {
  if (!file_ring::usable()) return news::unknown;
  const int before = own_errno();
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, which, 0));
  if (pidfd < 0) {
    own_errno() = before;
    return news::unknown;
  }
  const file_request request{.what = file_request::kind::wait_readable, .fd = pidfd};
  const ssize_t ready = make_call_elsewhere(request, limit);
  const int error = ready < 0 ? own_errno() : before;
  ::close(pidfd);
  own_errno() = error;
  return ready < 0 ? news::limit : news::there_is;
}

}  // namespace

pid_t waitpid(pid_t which, int* status, int options, const wait_limit& limit) noexcept {
  if (limit.stop().stop_requested()) return fail_with(ECANCELED);
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
    std::unique_ptr<pool_call> call(new (std::nothrow)
                                        news_of_children(which, options, limit.until()));
    if (call == nullptr) return fail_with(ENOMEM);
    const wait_end how = run_on_pool(call, limit);
    if (how != wait_end::done) return fail_with(error_of(how));
  }
}

}  // namespace treadle::io
