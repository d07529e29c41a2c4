// Waiting for the end of another thread, and giving that right up.
#pragma once

#include "treadle/base/wait_limit.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

// Parks the caller until `which` has left its stack, then frees its record. Once per thread, by
// one caller, who is not `which`.
inline void join(thread& which) noexcept {
  thread& self = current_thread();
  std::uintptr_t expected = thread::unjoined;
  // acq_rel: release our record to the ending thread; on failure acquire what it did
  if (which.completion.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(&self),
                                               base::acq_rel, base::acquire)) {
    // acquire: pairs with the end's release, publishes all that the thread did
    while (which.completion.load(base::acquire) != thread::has_finished) {
      static_cast<void>(self.scheduler->park(wait_reason::join, deadline::never()));
    }
  }
  which.scheduler->reap(which);
}

// The same within a limit. False when that came first: `which` can still be joined then.
inline bool join_within(thread& which, const base::wait_limit& limit) noexcept {
  const auto has_ended = [&which]() noexcept {
    // acquire: as in join()
    return which.completion.load(base::acquire) == thread::has_finished;
  };
  if (!has_ended()) {
    thread& self = current_thread();
    const std::uintptr_t mine = reinterpret_cast<std::uintptr_t>(&self) | thread::may_leave;
    std::uintptr_t expected = thread::unjoined;
    // acq_rel: as in join()
    if (which.completion.compare_exchange_strong(expected, mine, base::acq_rel, base::acquire)) {
      const stop_alarm alarm(self, limit.stop());
      if (park_until(self, wait_reason::join, limit.until(), alarm, has_ended) != wait_end::met) {
        expected = mine;
        // acquire: on failure as in join(); on success it would not be needed
        if (which.completion.compare_exchange_strong(expected, thread::unjoined, base::acquire,
                                                     base::acquire)) {
          return false;
        }
      }
    }
  }
  which.scheduler->reap(which);
  return true;
}

// Lets `which` free itself when it ends. Instead of join(), once.
inline void detach(thread& which) noexcept {
  std::uintptr_t expected = thread::unjoined;
  // acq_rel: as in join()
  if (!which.completion.compare_exchange_strong(expected, thread::detached, base::acq_rel,
                                                base::acquire)) {
    which.scheduler->reap(which);
  }
}

}  // namespace treadle::core
