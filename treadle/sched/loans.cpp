#include "treadle/sched/loans.hpp"

#include <cerrno>

namespace treadle::core {

base::spin_lock& loan_ground::book() noexcept {
  static constinit base::spin_lock lock;
  return lock;
}

int set_own_priority(thread& which, priority wanted) noexcept {
  if (!is_priority(wanted)) return EINVAL;
  const base::guard hold(loan_ground::book());
  return loans::set_own(which, wanted);
}

// A hold makes the thread go through the queue for levels, where it is found when it is ready and
// lent something.
void begin_hold(thread& self) noexcept {
  thread_loans& notes = self.body->loans;
  if (notes.holds++ != 0) return;
  self.holds.store(true, base::relaxed);  // relaxed: published with the thread when it stops
  scheduler_port& scheduler = *self.scheduler;
  if (!scheduler.levels_in_use.load(base::relaxed)) scheduler.use_levels();  // relaxed: set once
  watch_end(self);
}

void end_hold(thread& self) noexcept {
  if (--self.body->loans.holds == 0) self.holds.store(false, base::relaxed);  // as above
}

}  // namespace treadle::core
