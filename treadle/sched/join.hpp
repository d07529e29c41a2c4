// Waiting for the end of another thread, and giving that right up.
#pragma once

#include "treadle/base/wait_limit.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

inline bool has_ended(const thread& which) noexcept { return which.completion.has_ended(); }

// Parks the caller until `which` has left its stack, all within a limit. False when that came
// first: `which` can still be joined then.
inline bool wait_for_end_within(thread& which, const base::wait_limit& limit) noexcept {
  if (has_ended(which)) return true;
  thread& self = current_thread();
  return which.completion.wait_within(self, [&]() noexcept {
    const stop_alarm alarm(self, limit.stop());
    return park_until(self, wait_reason::join, limit.until(), alarm,
                      [&which]() noexcept { return has_ended(which); }) == wait_end::met;
  });
}

// The same, and then frees its record.
inline bool join_within(thread& which, const base::wait_limit& limit) noexcept {
  if (!wait_for_end_within(which, limit)) return false;
  which.scheduler->reap(which);
  return true;
}

// Lets `which` free itself when it ends. Instead of join(), once.
inline void detach(thread& which) noexcept {
  if (!which.completion.detach()) which.scheduler->reap(which);
}

}  // namespace treadle::core
