// Waiting for the end of another thread, and giving that right up.
#pragma once

#include "treadle/base/wait_limit.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

inline bool has_ended(const thread& which) noexcept {
  // acquire: pairs with the end's release, publishes all that the thread did
  return which.completion.load(base::acquire) == thread::has_finished;
}

// The first half of a join: leaves the caller's record for `which` to unpark at its end. False when
// it has ended already. Once per thread, by one caller, who is not `which`.
[[gnu::always_inline]] inline bool become_joiner(thread& which, thread& self) noexcept {
  std::uintptr_t expected = thread::unjoined;
  // acq_rel: release our record to the ending thread; on failure acquire what it did
  return which.completion.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(&self),
                                                  base::acq_rel, base::acquire);
}

// The same for a joiner that parks without its permit (thread::lent).
[[gnu::always_inline]] inline bool lend(thread& which, thread& self) noexcept {
  const std::uintptr_t mine = reinterpret_cast<std::uintptr_t>(&self) | thread::lent;
  if (base::swap_if_alone(which.completion, thread::unjoined, mine)) [[likely]]
    return true;
  std::uintptr_t expected = thread::unjoined;
  // acq_rel: as in become_joiner()
  return which.completion.compare_exchange_strong(expected, mine, base::acq_rel, base::acquire);
}

// Parks the caller until `which` has left its stack, all within a limit. False when that came
// first: `which` can still be joined then.
inline bool wait_for_end_within(thread& which, const base::wait_limit& limit) noexcept {
  if (has_ended(which)) return true;
  thread& self = current_thread();
  const std::uintptr_t mine = reinterpret_cast<std::uintptr_t>(&self) | thread::may_leave;
  std::uintptr_t expected = thread::unjoined;
  // acq_rel: as in become_joiner()
  if (which.completion.compare_exchange_strong(expected, mine, base::acq_rel, base::acquire)) {
    const stop_alarm alarm(self, limit.stop());
    if (park_until(self, wait_reason::join, limit.until(), alarm,
                   [&which]() noexcept { return has_ended(which); }) != wait_end::met) {
      expected = mine;
      // acquire: on failure as in has_ended(); on success it would not be needed
      if (which.completion.compare_exchange_strong(expected, thread::unjoined, base::acquire,
                                                   base::acquire)) {
        return false;
      }
    }
  }
  return true;
}

// The same, and then frees its record.
inline bool join_within(thread& which, const base::wait_limit& limit) noexcept {
  if (!wait_for_end_within(which, limit)) return false;
  which.scheduler->reap(which);
  return true;
}

// Lets `which` free itself when it ends. Instead of join(), once.
inline void detach(thread& which) noexcept {
  std::uintptr_t expected = thread::unjoined;
  // acq_rel: as in become_joiner()
  if (!which.completion.compare_exchange_strong(expected, thread::detached, base::acq_rel,
                                                base::acquire)) {
    which.scheduler->reap(which);
  }
}

}  // namespace treadle::core
