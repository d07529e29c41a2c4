#include "treadle/task/carrier.hpp"

#include "treadle/sched/join.hpp"
#include "treadle/task/engine.hpp"

namespace treadle::tasks {

// ---- passed on ----

int carrier::create(const core::creation& wanted, core::thread*& made) noexcept {
  return home_.create(wanted, made);
}
void carrier::discard(core::thread& unstarted) noexcept { home_.discard(unstarted); }
core::thread* carrier::spawn(core::closure_function entry, core::small_closure closure,
                             int& error) noexcept {
  return home_.spawn(entry, closure, error);
}
int carrier::start(core::thread& fresh) noexcept { return home_.start(fresh); }
void carrier::make_ready(core::thread& claimed) noexcept { home_.make_ready(claimed); }
void carrier::yield() noexcept { home_.yield(); }
void carrier::exit() noexcept {
  home_.exit();
  __builtin_unreachable();  // a virtual call is not known to be without return
}
int carrier::fork(core::thread& child, core::fork_point& point) noexcept {
  return home_.fork(child, point);
}
int carrier::spawn_child(core::closure_function entry, const core::child_closure& closure,
                         core::fork_point& point) noexcept {
  return home_.spawn_child(entry, closure, point);
}
void carrier::reap(core::thread& finished) noexcept { home_.reap(finished); }
int carrier::set_level(core::thread& which, core::thread_level wanted) noexcept {
  return home_.set_level(which, wanted);
}
void carrier::use_levels() noexcept { home_.use_levels(); }
unsigned carrier::width() const noexcept { return home_.width(); }
core::scheduler_counters carrier::counters() const noexcept { return home_.counters(); }

// ---- its own ----

core::wake carrier::park(core::wait_reason why, core::deadline until) noexcept {
  // Only a look, as an attempt at a call on a descriptor makes it.
  if (until.nanoseconds() == 0) return home_.park(why, until);
  of_.begin_block(*this);
  const core::wake outcome = home_.park(why, until);
  of_.end_block(*this);
  return outcome;
}

void carrier::park_until_set(core::thread& self, const base::atomic<bool>& flag,
                             core::wait_reason why) noexcept {
  of_.begin_block(*this);
  home_.park_until_set(self, flag, why);
  of_.end_block(*this);
}

void carrier::enter_blocking() noexcept {
  of_.begin_block(*this);
  home_.enter_blocking();
}
void carrier::leave_blocking() noexcept {
  home_.leave_blocking();
  of_.end_block(*this);
}

void carrier::join(core::thread& which) noexcept {
  const bool ended = core::join_within(which, {});
  TREADLE_ASSERT(ended, "a join without a limit has given up");
  static_cast<void>(ended);
}

}  // namespace treadle::tasks
