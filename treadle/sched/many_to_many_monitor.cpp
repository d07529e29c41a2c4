// The monitor: what it looks at, how often, and what it does about it.
#include <algorithm>
#include <utility>

#include "treadle/base/clock.hpp"
#include "treadle/context/stack_surplus.hpp"
#include "treadle/sched/many_to_many_vigil.hpp"

namespace treadle::core {
namespace {

// A thread is seen to run for the first time up to a hurried look late, in the middle half of it;
// also the least time that it must have been seen to run before its slice can end.
constexpr std::int64_t seen_late_nanoseconds = look_pace::hurried_nanoseconds / 2;
// Guess, the default slice: a holder that cannot be watched, for want of descriptors, and has run
// one thread for so long while others wait, may be blocked.
constexpr std::int64_t unseen_nanoseconds = 10'000'000;
// Guess: a processor that has napped more often since the last look would park its standby again at
// once, most likely before anything blocks, and the monitor has to look in any case.
constexpr std::uint64_t naps_for_standby = 4;
// Guess: where one thread has blocked in the kernel others will, or the same one.
constexpr std::int64_t escort_nanoseconds = 1'000'000'000;
// Guess: a runtime that naps and wakes all the time should not wake its monitor every time.
constexpr unsigned idle_looks_max = 3;

}  // namespace

// By the monitor: members that have begun since the last look. One whose probe cannot be opened is
// tried again when it is in the way.
void many_to_many::vigil::open_probes() noexcept {
  const std::uint32_t size = all.crew_.size();
  while (members_met < size) {
    blocked_probe& next = all.crew_[members_met + 1].probe;
    if (!next.has_begun()) break;
    next.open(first_way);
    ++members_met;
  }
}

void many_to_many::vigil::monitor() noexcept {
  std::int64_t now = base::monotonic_now();
  look_pace pace(now, all.report_.level < activation_level::proc);
  unsigned idle_looks = 0;
  std::int64_t relieved_at = now - escort_nanoseconds;
  std::uint64_t reliefs = 0;
  while (!closing.load(base::seq_cst)) {
    const std::uint32_t looked = bell.look();
    const std::int64_t last = std::exchange(now, base::monotonic_now());
    open_probes();
    if (context::has_surplus() && now >= trims_at) trims_at = context::trim_unused(now);
    next_slice_over = base::deadline::never().nanoseconds();
    round = {};
    escorting = now - relieved_at < escort_nanoseconds;
    for (unsigned i = 0; i < all.width_; ++i) look_at(posts[i], now, now - last);
    if (all.report_.preempts && !round.all_idle) look_at_guests();
    idle_looks = round.all_idle ? idle_looks + 1 : 0;
    const std::uint64_t relieved = all.reliefs_.load(base::relaxed);  // relaxed: a statistic
    if (relieved != reliefs) {
      relieved_at = now;
      round.all_nap = round.all_pass = false;
    }
    reliefs = relieved;
    const std::int64_t pause = pace.spread(pace.after(round, now));
    if (idle_looks > idle_looks_max) {
      sleep_till_stirred(looked);
      idle_looks = 0;
      pace.begin_again(now, base::monotonic_now());
      continue;
    }
    const std::int64_t next = std::min(next_slice_over, now + pause);
    if (!closing.load(base::seq_cst)) bell.wait(looked, base::deadline::at(next));
  }
}

void many_to_many::vigil::sleep_till_stirred(std::uint32_t looked) noexcept {
  bell.begin_sleep();
  if (all.idle_.all_asleep(all.width_) && !closing.load(base::seq_cst)) {
    // Who gave a stack back is asleep by now, and what it said is seen.
    bell.wait(looked,
              context::has_surplus() ? base::deadline::at(trims_at) : base::deadline::never());
  }
  bell.end_sleep();
}

// What is asleep, or was when the monitor looked.
void many_to_many::vigil::look_at_sleeper(const post& one, claim::seen seen, std::int64_t now,
                                          std::uint64_t naps) noexcept {
  processor& which = *one.of;
  // Who sleeps for so short a time waits for whatever is begun in between, too.
  const bool soon = all.has_timer_before(which, now + look_pace::hurried_nanoseconds);
  round.any_waits = round.any_waits || soon;
  round.all_pass = round.all_pass && !soon;
  // Only a waker that found no time to go on leaves this to us.
  if (seen.state() == hold::released && all.has_work(which)) all.take_released(which, seen);
  // A server's processor is mostly found asleep, and would stir us again the next moment.
  if (naps != 0) round.all_idle = false;
  round.any_hurry = round.any_hurry || naps != 0;
}

// `span` nanoseconds after the last look.
void many_to_many::vigil::look_at(post& one, std::int64_t now, std::int64_t span) noexcept {
  processor& which = *one.of;
  const claim::seen seen = which.claim.look();
  const std::uint64_t sleeps = which.sleeps.get();
  const std::uint64_t naps = sleeps - one.sleeps;
  const bool has_napped = one.slept || naps != 0;
  one.sleeps = sleeps;
  one.slept = all.idle_.is_asleep(which.index);
  // relaxed: a guess
  one.escorts.store(one.runs && escorting && naps <= naps_for_standby, base::relaxed);
  if (one.slept) return look_at_sleeper(one, seen, now, naps);
  round.all_idle = false;
  round.all_nap = round.all_nap && has_napped;
  // relaxed: a guess; the standby is in the futex or not
  if (one.runs && one.awake.load(base::relaxed) == 0) {
    round.any_hurry = true;  // it was idle a moment ago, and may be again
    round.all_pass = false;
    if (naps <= naps_for_standby) {
      wake_standby(one);
    }
  }
  unsigned ticks = which.ticks.load(base::relaxed);  // relaxed: a hint
  // Nobody knows how long one that has napped was up.
  const std::int64_t rate = has_napped ? 0 : look_pace::rate_of(ticks - one.ticks, span);
  const bool even = look_pace::is_even(one.rate, rate);
  if (ticks != one.ticks && ticks - one.ticks <= look_around_mask && all.is_overdue(which, now)) {
    hurry_look_around(which, ticks);
    ticks |= look_around_mask;
  }
  if (seen.word != one.word || ticks != one.ticks) {
    one.word = seen.word;
    one.ticks = ticks;
    one.since = has_napped ? now : look_pace::runs_since(one.rate, rate, now, span);
    one.keeps_up = look_pace::keeps_up(one.rate, rate);
    one.is_new = true;
    one.stops_by = 0;
  } else {
    one.is_new = one.keeps_up = false;
  }
  one.rate = rate;
  const bool waiting = all.somebody_waits(which, now + look_pace::hurried_nanoseconds);
  round.any_hurry = round.any_hurry || waiting;
  round.any_waits = round.any_waits || waiting;
  round.all_even = round.all_even && (even || (has_napped && !waiting));
  if (seen.state() == hold::released && seen.reserve() == 0) all.adopt_orphans();
  if (seen.state() != hold::held) return;
  crew_member& holder = all.crew_[seen.holder()];
  // acquire: as any taker's look; relief() looks again, after a fence
  if (holder.inside.load(base::acquire) != 0) return;
  if (!holder.probe.is_open() && holder.probe.has_begun()) holder.probe.open(first_way);
  const bool unseen = !holder.probe.is_open() && waiting && now - one.since >= unseen_nanoseconds;
  const bool sliced = waiting && all.report_.preempts;
  const bool stays = sliced && overstays(one, holder, now);
  // relaxed: published by the spare's wake-up
  if (stays) which.overstayed.store(turn_of(which), base::relaxed);
  if (holder.probe.is_blocked() || unseen || stays) return bring_relief(one, holder);
  one.alerted = false;
  if (sliced) watch_slice(one, holder, now);
}

void many_to_many::vigil::bring_relief(post& one, const crew_member& holder) noexcept {
  processor& which = *one.of;
  round.all_nap = round.all_pass = false;
  const bool alerted = which.alerted.load(base::relaxed);  // relaxed: a guess
  if (all.has_work(which) || !one.is_new) {
    const bool again = alerted && one.alerted && !one.is_new;
    if (!all.call_relief(which, holder, again, -1)) all.relieve_by_preempted(which);
  }
  one.alerted = alerted;
}

// Whether the thread's timer should have stopped it by now, a tick late at most, and has not: where
// other processes keep the CPU, the kernel's ticks may find it off it for long.
bool many_to_many::vigil::overstays(const post& one, const crew_member& holder,
                                    std::int64_t now) const noexcept {
  // relaxed: a guess
  return one.stops_by != 0 && now >= one.stops_by + all.tick_nanoseconds_ &&
         holder.slice_is_watched.load(base::relaxed);
}

// The timer is armed at the second look that finds the thread there, ahead of need: where threads
// keep all CPUs busy the monitor may come a tick too late for what is left then. It counts CPU
// time, and the kernel looks at it at its ticks. It is not armed again before one has passed: in
// the moment after the tick, before the thread goes on, the signal would be lost till the next.
// Again, because the thread may have been somewhere where it is not stopped.
// Who stops giving way where threads took many turns shows at the next look, with the time.
void many_to_many::vigil::watch_slice(post& one, crew_member& holder, std::int64_t now) noexcept {
  round.all_nap = round.all_nap && now - one.since < seen_late_nanoseconds;
  const std::int64_t due = one.since + arms_after();
  round.all_pass = round.all_pass && now < due;
  // relaxed: a guess
  const bool again = now >= one.stops_by && !holder.slice_is_watched.load(base::relaxed);
  if (one.stops_by != 0 ? again : !one.is_new || now >= due) {
    const std::int64_t left = due > now ? due - now : 1;
    all.arm_slice_timer(holder, one.word, one.ticks, left);
    one.stops_by = now + left + all.tick_nanoseconds_ + seen_late_nanoseconds;
  } else if (one.stops_by == 0 && !one.keeps_up && due < next_slice_over) {
    next_slice_over = due;
  }
}

// How long a thread has been seen to run when its timer is armed: the kernel takes a tick to look.
std::int64_t many_to_many::vigil::arms_after() const noexcept {
  const std::int64_t span =
      all.settings_.slice_nanoseconds - all.tick_nanoseconds_ - seen_late_nanoseconds;
  return span > seen_late_nanoseconds ? span : seen_late_nanoseconds;
}

// Threads that came back from the kernel and compute without a processor: they make more threads
// run than the width, and must queue.
void many_to_many::vigil::look_at_guests() noexcept {
  // Guess: a look takes a cache miss a member; with hundreds of them the round takes some looks.
  constexpr std::uint32_t looks = 32;
  const std::uint32_t size = all.crew_.size();
  // relaxed: a guess
  const std::size_t known =
      all.width_ + all.crew_.counters().spares + all.preempted_count_.load(base::relaxed);
  if (size <= known) return;
  for (std::uint32_t i = 0; i < looks && i < size; ++i) {
    next_guest = next_guest % size + 1;
    crew_member& one = all.crew_[next_guest];
    if (one.inside.load(base::acquire) != 0 || is_holder(one.number)) continue;  // as above
    if (one.slice_is_watched.load(base::relaxed)) continue;  // relaxed: as in watch_slice()
    if (!one.probe.is_blocked()) all.arm_slice_timer(one, 0, 0, 1);
  }
}

bool many_to_many::vigil::is_holder(std::uint32_t number) const noexcept {
  for (unsigned i = 0; i < all.width_; ++i) {
    if (all.processors_[i].claim.look().holder() == number) return true;
  }
  return false;
}

}  // namespace treadle::core
