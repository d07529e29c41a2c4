// How an io call waits: where it stands, parking with a limit, and errno across a park.
//
// Called by the thread that waits. A thread may go on on another kernel thread after any park, so
// errno is always reached anew, through own_errno().
#pragma once

#include <cerrno>
#include <utility>

#include "treadle/base/wait_limit.hpp"
#include "treadle/io/cancellation.hpp"
#include "treadle/io/own_errno.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/stop_alarm.hpp"
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
  return !limit.until().is_never() || may_be_stopped(limit);
}

enum class [[nodiscard]] wait_end{done, timed_out, stopped};

// What a call that ended early sets errno to.
inline int error_of(wait_end how) noexcept {
  return how == wait_end::timed_out ? ETIMEDOUT : ECANCELED;
}

// Parks the caller until `done()` holds, whose maker unparks it, or until the limit. When both have
// come, it is done; a stop comes before a time-out.
template <class Done>
wait_end park_until(core::thread& self, const wait_limit& limit, Done&& done) {
  const core::stop_alarm alarm(self, limit.stop(), own_stop_token());
  switch (core::park_until(self, core::wait_reason::io, limit.until(), alarm,
                           std::forward<Done>(done))) {
    case core::wait_end::met:
      return wait_end::done;
    case core::wait_end::timed_out:
      return wait_end::timed_out;
    case core::wait_end::stopped:
      break;
  }
  return wait_end::stopped;
}

// For what no event tells, with `round` growing: 0, or the errno of the limit.
inline int pause_before_next_try(unsigned round, const wait_limit& limit) noexcept {
  // Guess: from a busy server's time for one connection to what nobody notices.
  constexpr std::int64_t first_nanoseconds = 100'000;
  constexpr unsigned doublings_max = 8;
  if (is_stopped(limit)) return ECANCELED;
  if (limit.until().has_passed()) return ETIMEDOUT;
  const std::int64_t span = first_nanoseconds << (round < doublings_max ? round : doublings_max);
  base::deadline until = base::deadline::at(base::monotonic_now() + span);
  if (limit.until().nanoseconds() < until.nanoseconds()) until = limit.until();
  static_cast<void>(core::current_thread().scheduler->park(core::wait_reason::io, until));
  return 0;
}

}  // namespace treadle::io
