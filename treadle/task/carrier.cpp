#include "treadle/task/carrier.hpp"

#include "treadle/sched/join.hpp"
#include "treadle/task/engine.hpp"

namespace treadle::tasks {

core::wake carrier::park(core::wait_reason why, core::deadline until) noexcept {
  // Only a look, as an attempt at a call on a descriptor makes it.
  if (until.nanoseconds() == 0) return home_.park(why, until);
  of_.begin_block(*this);
  const core::wake outcome = home_.park(why, until);
  of_.end_block();
  return outcome;
}

void carrier::park_until_set(core::thread& self, const base::atomic<bool>& flag,
                             core::wait_reason why) noexcept {
  of_.begin_block(*this);
  home_.park_until_set(self, flag, why);
  of_.end_block();
}

void carrier::join(core::thread& which) noexcept {
  const bool ended = core::join_within(which, {});
  TREADLE_ASSERT(ended, "a join without a limit has given up");
  static_cast<void>(ended);
}

}  // namespace treadle::tasks
