// The standby thread of a processor; see many_to_many_vigil.hpp.
#include <sched.h>
#include <unistd.h>

#include "treadle/base/system_call.hpp"
#include "treadle/sched/many_to_many_vigil.hpp"

namespace treadle::core {
namespace {

// Guess: looks at a worker that is not blocked, before the CPU is given away.
constexpr int pauses_between_looks = 32;
// Guess: a call shorter than this, with nothing else to run, is not worth a wake-up.
constexpr std::int64_t patience_nanoseconds = 50'000;

bool pin_to(int cpu) noexcept {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(cpu), &one);
  return ::sched_setaffinity(0, sizeof(one), &one) == 0;
}

}  // namespace

void* many_to_many::vigil::standby_main(void* argument) {
  auto& mine = *static_cast<post*>(argument);
  want_short_slices();
  // release: pairs with open_standbys()
  mine.started.store(static_cast<std::uint32_t>(::gettid()), base::release);
  base::futex_wake(mine.started);
  mine.home->stand_by(mine);
  return nullptr;
}

void many_to_many::vigil::stand_by(post& mine) noexcept {
  while (!closing.load(base::seq_cst)) {
    // acquire: pairs with whoever wakes us
    if (mine.awake.load(base::acquire) == 0) {
      base::futex_wait(mine.awake, 0, base::deadline::never());
      continue;
    }
    look_from(mine);
  }
}

// Until the monitor finds the processor at work.
void many_to_many::vigil::park(post& mine) noexcept {
  // A wake-up that comes before this is repeated by the monitor. But the last one is not: seq_cst,
  // so that who wipes that out sees that we are closing
  mine.awake.store(0, base::seq_cst);
  mine.blocked_since = 0;
}

void many_to_many::vigil::look_from(post& mine) noexcept {
  processor& which = *mine.of;
  const claim::seen seen = which.claim.look();
  // Whoever has work for it wakes it; and we must not be the one who has begun something, as we may
  // be stopped for as long as others keep this CPU busy.
  if (seen.state() == hold::released || all.idle_.is_asleep(which.index)) return park(mine);
  const crew_member& holder = all.crew_[seen.holder()];
  const bool blocked = holder.probe.is_blocked();
  if (!blocked || seen.state() == hold::suspected) {
    mine.blocked_since = 0;
    return follow(mine, holder);
  }
  // Blocked inside the scheduler: idle.
  if (holder.inside.load(base::acquire) != 0) return park(mine);  // acquire: as the monitor
  if (!all.has_work(which)) {
    const std::int64_t now = base::monotonic_now();
    if (mine.blocked_since == 0) mine.blocked_since = now;
    if (now - mine.blocked_since < patience_nanoseconds) return;
  }
  all.call_relief(which, holder, false, mine.cpu);
  // Where the relief is a while in coming, others may want this CPU. Mostly it came at once, and we
  // go on here when the next worker blocks. relaxed: a guess
  if (which.alerted.load(base::relaxed)) ::sched_yield();
}

// The worker is not blocked, and yet we run: it waits for this CPU, or has another one.
void many_to_many::vigil::follow(post& mine, const crew_member& holder) noexcept {
  const int cpu = holder.probe.cpu();
  if (cpu >= 0 && cpu != mine.cpu) {
    if (!pin_to(cpu)) return park(mine);  // the CPU is not ours any more: the monitor goes on
    mine.cpu = cpu;
    return;
  }
  for (int i = 0; i < pauses_between_looks; ++i) base::spin_hint();
  ::sched_yield();
}

}  // namespace treadle::core
