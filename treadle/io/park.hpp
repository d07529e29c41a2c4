// How an io call waits: where it stands, parking with a limit, and errno across a park.
//
// Called by the thread that waits. A thread may go on on another kernel thread after any park, so
// errno is always reached anew, through own_errno().
#pragma once

#include <cerrno>
#include <optional>
#include <stop_token>

#include "treadle/base/atomic.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/io/own_errno.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {

using base::wait_limit;

// Whether a call that blocks the kernel thread would keep other threads from running on it.
inline bool shares_kernel_thread() noexcept { return core::current_worker().processor != nullptr; }

// For the ends of calls: -1 with errno.
inline int fail_with(int error) noexcept {
  own_errno() = error;
  return -1;
}

// True when a call with this limit may have to come back without a result.
inline bool may_end_early(const wait_limit& limit) noexcept {
  return !limit.until().is_never() || limit.stop().stop_possible();
}

enum class [[nodiscard]] wait_end{done, timed_out, stopped};

// What a call that ended early sets errno to.
inline int error_of(wait_end how) noexcept {
  return how == wait_end::timed_out ? ETIMEDOUT : ECANCELED;
}

// Unparks the calling thread once its limit's stop is requested. The object may be destroyed by
// its thread only; the destructor waits for a callback that is just running.
class stop_watch {
 public:
  stop_watch(const std::stop_token& stop, core::thread& self) {
    if (stop.stop_possible()) callback_.emplace(stop, wake{*this, self});
  }
  bool asked() const noexcept {
    return asked_.load(base::acquire);  // pairs with wake, publishes what the requester did
  }

 private:
  struct wake {
    stop_watch& watch;
    core::thread& self;
    void operator()() const noexcept {
      core::thread& waiting = self;
      watch.asked_.store(true, base::release);  // pairs with asked()
      core::scheduler_port::unpark(waiting);
    }
  };
  base::atomic<bool> asked_{false};
  std::optional<std::stop_callback<wake>> callback_;
};

// Parks the caller until `done()` holds, whose maker unparks it, or until the limit. When both have
// come, it is done; a stop comes before a time-out.
template <class Done>
wait_end park_until(core::thread& self, const wait_limit& limit, Done&& done) {
  const stop_watch watch(limit.stop(), self);
  for (;;) {
    if (done()) return wait_end::done;
    if (watch.asked()) return wait_end::stopped;
    if (self.scheduler->park(core::wait_reason::io, limit.until()) == core::wake::timed_out) {
      return done() ? wait_end::done : wait_end::timed_out;
    }
  }
}

}  // namespace treadle::io
