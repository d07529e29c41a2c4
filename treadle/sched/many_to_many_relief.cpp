// Taking the processor of a worker that is blocked in the kernel and has not said so.
//
// Somebody has seen the worker blocked, and wakes a spare with the processor's name. The spare
// makes sure: it marks the claim as suspected, makes every other kernel thread of the process pass
// a fence, and looks whether the worker has announced itself inside the scheduler. If not, either
// the worker has not come back, or it will find the mark when it does and swap it away, and then
// the spare's last swap fails. See claim.hpp.
// A spare has the program's descriptors and cannot ask as the others do (blocked_probe.hpp); it is
// told how long the worker had run when it was seen blocked, and sees whether it has run since.
// The same happens to a worker that cannot be stopped when its slice is over, mostly because other
// processes keep its CPU and the kernel's tick never finds it there: it goes on as a guest, beside
// the width, until it can (many_to_many_preempt.cpp).
#include <sched.h>

#include "treadle/base/heavy_fence.hpp"
#include "treadle/sched/many_to_many.hpp"

namespace treadle::core {
namespace {

// By a standby on `cpu`. Who slept there is mostly woken there, but since Linux 6.12 who blocks may
// stay in its CPU's queue until the next choice, and as long as the worker does the kernel takes
// this CPU for busy. Who slept elsewhere is drawn, which costs three system calls.
void prepare_to_wake_on(int cpu, crew_member& spare) noexcept {
  if (spare.probe.cpu() == cpu) {
    ::sched_yield();
  } else {
    spare.draw_to(cpu);
  }
}

}  // namespace

// Any kernel thread, also one that runs only when nothing else does: such a one may stop for long
// between its mark and the wake-up, so the monitor calls `again`. A spare too many does no harm.
// The spare is to run on `cpu`, which has nothing better to do, or where the kernel likes if that
// is -1.
// False when there is no spare.
bool many_to_many::call_relief(processor& which, const crew_member& blocked, bool again,
                               int cpu) noexcept {
  if (!again && which.alerted.load(base::relaxed)) return true;  // relaxed: see below
  // relaxed: published by the spare's wake-up. One that stood still here may spoil what another
  // has noted since: then the spare sees no blocked worker, and is called again.
  which.time_run.store(blocked.probe.time_run(), base::relaxed);
  crew_member* spare = crew_.take_spare();
  if (spare == nullptr) {
    which.alerted.store(false, base::release);  // as the spare's reset
    return false;
  }
  if (cpu >= 0) prepare_to_wake_on(cpu, *spare);
  // Only now: a standby may have been stopped for long, and the monitor should not wait for it. If
  // it has not, two spares come. acq_rel: pairs with the spare's reset
  which.alerted.exchange(true, base::acq_rel);
  spare->wake(&which, false);
  return true;
}

// By the monitor, when all members are blocked or preempted: they may wait for a lock that a
// preempted thread holds, so one of these must go on.
void many_to_many::relieve_by_preempted(processor& which) noexcept {
  crew_member* other = pop_preempted();
  if (other == nullptr) return;
  claim::seen now = which.claim.look();
  if (is_blocked_for_sure(which, now) && which.claim.take(now, other->number)) {
    reliefs_.fetch_add(1, base::relaxed);  // relaxed: a statistic
    other->wake(&which, false);
  } else {
    put_back_preempted(*other);
  }
}

// By a spare that was woken to look at `which`.
many_to_many::outcome many_to_many::relieve(processor& which, crew_member& me) noexcept {
  claim::seen now = which.claim.look();
  outcome result = outcome::nothing;
  if (now.state() == hold::released) {
    // The member in reserve, or we when we are spare again.
    if (has_work(which)) take_released(which, now);
  } else if (is_blocked_for_sure(which, now)) {
    if (has_work(which)) {
      if (which.claim.take(now, me.number)) result = outcome::taken;
      if (result == outcome::taken) {
        which.turn_begins = which.turn_begins || which.overstayed.load(base::relaxed) != 0;
        reliefs_.fetch_add(1, base::relaxed);  // relaxed: a statistic
      }
    } else {
      result = leave_released(which, now, me);
    }
  }
  which.overstayed.store(0, base::relaxed);   // relaxed: at worst it is seen to once more
  which.alerted.store(false, base::release);  // pairs with call_relief()
  return result;
}

// True with the claim suspected. It stays the holder's if it comes back now.
bool many_to_many::is_blocked_for_sure(processor& which, claim::seen& now) noexcept {
  if (now.state() != hold::held || !is_away(which, crew_[now.holder()]) ||
      !which.claim.suspect(now)) {
    return false;
  }
  base::heavy_fence();
  if (is_away(which, crew_[now.holder()])) return true;
  static_cast<void>(which.claim.drop_suspicion(now));
  return false;
}

bool many_to_many::is_away(const processor& which, const crew_member& holder) noexcept {
  // acquire: pairs with fiber_scheduler::leave(), publishes what the holder did to the processor
  // Who cannot be seen is taken for blocked: it has been there for long. If it is not, it goes on
  // as a guest, and is preempted.
  if (holder.inside.load(base::acquire) != 0) return false;
  // relaxed: published by the spare's wake-up
  if (which.overstayed.load(base::relaxed) == turn_of(which)) return true;
  // relaxed: see call_relief()
  return !holder.probe.is_open() ||
         holder.probe.is_blocked_still(which.time_run.load(base::relaxed));
}

// Nothing to run: on the holder's behalf the processor is released, with us in reserve. We hold it
// in between, as only a holder may lie down: one that comes back this very moment is a guest.
many_to_many::outcome many_to_many::leave_released(processor& which, claim::seen now,
                                                   crew_member& me) noexcept {
  const std::uint32_t blocked = now.holder();
  if (!which.claim.take(now, me.number)) return outcome::nothing;
  idle_.lie_down(which.index);
  which.claim.release_to(me.number, blocked, me.number);
  reliefs_.fetch_add(1, base::relaxed);  // relaxed: a statistic
  if (!idle_.is_asleep(which.index) || has_work(which)) take_released(which, which.claim.look());
  // Who took the holder for awake sleeps beyond the next timer.
  if (idle_.somebody_follows(timer_queue::no_deadline - 1)) wake_one(true);
  return outcome::reserved;
}

}  // namespace treadle::core
