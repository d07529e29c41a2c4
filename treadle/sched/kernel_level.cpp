#include "treadle/sched/kernel_level.hpp"

#include <unistd.h>

#include "treadle/base/check.hpp"
#include "treadle/base/niceness.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {
namespace {

// Over the system calls, too: a level must not overtake a later one.
constinit base::spin_lock levels_lock;
constinit bool levels_used = false;   // guarded by levels_lock
constinit bool refusal_said = false;  // guarded by levels_lock

// Guess: nice values 5 apart give the higher one three times the lower one's CPU (sourced:
// sched_prio_to_weight of Linux, a factor of 1.25 a step).
constexpr int nice_of_a_level = 5;

base::urgency urgency_of(priority level) noexcept {
  return {-nice_of_a_level * static_cast<int>(level), level == priority::background};
}

// With the lock held.
int apply(const thread_body& body, priority level) noexcept {
  if (body.kernel_id == 0) return 0;  // not yet, or no longer
  const int error = base::set_urgency(body.kernel_id, urgency_of(level));
  if (error != 0 && !refusal_said) {
    refusal_said = true;
    base::say(
        "the kernel refuses a thread's nice value (RLIMIT_NICE): kernel threads of a higher "
        "priority get no more of the CPU");
  }
  return error;
}

}  // namespace

int set_kernel_level(thread& which, thread_level wanted) noexcept {
  const base::guard hold(levels_lock);
  levels_used = true;
  which.level.store(wanted, base::relaxed);  // relaxed: read under the lock
  return apply(*which.body, wanted.effective);
}

void begin_kernel_level(thread& self) noexcept {
  const base::guard hold(levels_lock);
  self.body->kernel_id = static_cast<int>(::gettid());
  // A kernel thread begins as nice as the one that made it. Nobody to tell: it has been said.
  const priority level = self.level.load(base::relaxed).effective;  // relaxed: under the lock
  if (levels_used || level != priority::normal) static_cast<void>(apply(*self.body, level));
}

void end_kernel_level(thread& self) noexcept {
  const base::guard hold(levels_lock);
  self.body->kernel_id = 0;
}

}  // namespace treadle::core
