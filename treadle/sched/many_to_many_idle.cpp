// The idle side of M:N: what a worker does when its processor has nothing to run.
//
// Run - look everywhere - spin (one worker at most) - nap. The order of the last step is what
// loses no work: stop spinning, lie down, look at the queue for all once more, sleep. Of many who
// nap beside busy workers a few doze (dozers.hpp).
// A spinner and a dozer are onlookers: away from the party (base/solo.hpp), they only read, so that
// a lone busy worker goes on without bus locks, and come back when there is something to take.
#include <unistd.h>

#include <utility>

#include "treadle/context/overflow_report.hpp"
#include "treadle/sched/many_to_many_vigil.hpp"

namespace treadle::core {
namespace {

// Sourced: about what a futex wake-up costs both sides; longer spinning burns more than it saves.
constexpr std::int64_t spin_nanoseconds = 20'000;
// Guess: pauses between two looks; each look takes cache lines away from busy workers.
constexpr int pauses_between_looks = 16;
// Guess: a lone thread that its processor has not run for this long is worth a cache miss or ten.
constexpr std::int64_t patience_nanoseconds = 20'000;
// Guess: until then the spinner is a party: what a busy worker is just about to queue is then taken
// without a membarrier.
constexpr std::int64_t party_nanoseconds = 2'000;
// Guess: with fewer looks a thief would often take a thread of a pair that hands over to each
// other: there is one ready for about half of the time.
constexpr unsigned looks_min = 12;
// Guess: from one wake-up's cost to what a person or a disk does not notice.
constexpr std::int64_t doze_min_nanoseconds = 50'000;
constexpr std::int64_t doze_max_nanoseconds = 1'000'000;
// Guess: who has the watch may be blocked, or its CPU taken; where that has just been so, others
// follow it so soon.
constexpr std::int64_t follow_soon_nanoseconds = 200'000;
// Measured (bench mutex_64_L0): see worker::spins_max; about 1.5 us in all.
constexpr unsigned lock_spins = 16;

}  // namespace

void* many_to_many::worker_main(void* argument) {
  auto& me = *static_cast<crew_member*>(argument);
  auto& home = *static_cast<many_to_many*>(me.home);
  const context::alternate_signal_stack signals;
  const bool spare = me.number > home.width_;
  me.scheduler = &home;
  me.processor = spare ? &home.nowhere_ : &home.processors_[me.number - 1];
  me.spins_max = home.alone_ ? 0 : lock_spins;
  me.adopt_kernel_thread(true);
  me.probe.begin();
  home.vigil_->meet();
  home.open_slice_timer(me);
  home.work(me);
  home.close_slice_timer(me);
  me.release_kernel_thread();
  return nullptr;
}

// The idle context of a worker. While it runs the worker is inside the scheduler.
void many_to_many::work(crew_member& me) noexcept {
  for (;;) {
    if (!has_processor(me) && !wait_for_processor(me)) return;
    thread* next = find_work(of(me));
    if (next != nullptr) {
      run(me, *next);
    } else if (has_processor(me)) {
      return;
    }
  }
}

// Null when the runtime closes, or when the processor went to a preempted thread's worker.
thread* many_to_many::find_work(processor& mine) noexcept {
  const bool hushed = std::exchange(mine.idle.hushed, false);
  const bool tried_first = mine.turn_begins && begin_turn(mine);
  if (!tried_first && (mine.preempted_next || preempted_is_due(mine)) && resume_preempted(mine)) {
    if (hushed) offer(false);
    return nullptr;
  }
  // Before any rest: the last thread may have been woken while it was about to park.
  if (thread* found = pick_when_idle(mine)) {
    if (hushed) offer(mine.ring.size() != 0);
    return found;
  }
  const std::int64_t now = base::monotonic_now();
  if (mine.idle.busy_since != 0) end_busy(mine, now);
  mine.idle.fired = false;
  judge(mine, now);
  mine.seen.victim = sighting::nobody;
  idleness rest{.away = {}, .doze = doze_min_nanoseconds, .napped = hushed};
  thread* const found = wait_for_work(mine, now, rest);
  find_dozer(rest.dozed);
  return found;
}

// As find_work(). `now`: of the last look, as reading the clock is dear.
thread* many_to_many::wait_for_work(processor& mine, std::int64_t now, idleness& rest) noexcept {
  base::absence& away = rest.away;
  bool& woken = rest.woken;
  for (;;) {
    if (mine.idle.rest == 0) {
      thread* found = away.is_away() ? nullptr : look_everywhere(mine, now);
      if (found != nullptr && !woken) {
        offer_found(mine, rest.napped);
        return found;
      }
      if (found == nullptr && !away.is_away() && somebody_is_preempted()) {
        if (woken) idle_.stop_spinning();
        woken = false;
        const bool tells = rest.napped || std::exchange(mine.idle.hushed, false);
        if (resume_preempted(mine)) {
          // There may be more of them, or other work, and nobody was woken for it.
          if (tells) offer(false);
          return nullptr;
        }
      }
      if (found == nullptr && closing_.load(base::acquire)) return nullptr;  // see end_workers()
      // With all others asleep a spinner would wait for timers and the outside, which wake us.
      const bool hopeful =
          (!mine.idle.spun_for_timers && idle_.others_are_up(width_)) || idle_.has_events();
      if (woken || (!alone_ && hopeful && idle_.start_spinning())) {
        if (found == nullptr) found = spin(mine, away);
        idle_.stop_spinning();
        woken = false;
        if (found != nullptr) {
          mine.idle.spun_for_timers = mine.idle.fired;
          // There may be more where this came from, and nobody was woken while we spun.
          mine.idle.hushed = false;
          offer(mine.ring.size() != 0);
          return found;
        }
      }
    }
    outlook seen;
    do {
      woken = nap(mine, rest);
      rest.napped = true;
      if (woken) mine.idle.spun_for_timers = false;
      mine.idle.rest = 0;
      now = base::monotonic_now();
      seen = woken ? outlook::work : look_from_afar(mine, now);
    } while (seen == outlook::nothing && away.is_away());
    if (seen == outlook::work) away.end();
  }
}

// By who goes to work, and dozed before or has spun: others may need one who dozes for them.
void many_to_many::find_dozer(bool dozed) noexcept {
  if (!dozed && !dozers_.is_vacant()) [[likely]]
    return;
  if (!dozers_.is_missing()) return;
  dozers_.mark_vacant();
  if (idle_.anybody_sleeps()) wake_one(true);
}

// Looks for work for a while: first as a party, then as an onlooker.
thread* many_to_many::spin(processor& mine, base::absence& away) noexcept {
  std::int64_t now = base::monotonic_now();
  const std::int64_t until = now + spin_nanoseconds;
  std::int64_t leaves_at = now + party_nanoseconds;
  do {
    const bool polls = !away.is_away() && idle_.has_events();
    if (polls) {
      idle_.look_in(mine.index);
      if (thread* found = pick_when_idle(mine)) return found;
    }
    if (look_from_afar(mine, now) == outlook::work) {
      away.end();
      leaves_at = now + party_nanoseconds;
      if (thread* found = look_everywhere(mine, now)) return found;
      if (somebody_is_preempted()) return nullptr;
    }
    // Who polls wakes threads, and must not be away.
    if (now > leaves_at && !polls && !away.is_away() && !away.begin()) leaves_at = until;
    for (int i = 0; i < pauses_between_looks; ++i) base::spin_hint();
    now = base::monotonic_now();
  } while (now < until);
  return nullptr;
}

// Why is there no more to do? When the last threads queued for a lock in quick succession, they
// only fought with those of another processor, and made both slow. They get it sooner where it
// is: so rest, and longer each time that it was the same.
void many_to_many::judge(processor& mine, std::int64_t now) noexcept {
  const worker& me = *current_worker_or_null();
  const bool just_now = now - me.last_lock_wait < worker::fighting_nanoseconds;
  // One wait proves nothing, unless it was so the last time, too.
  const unsigned waits_min = mine.idle.last_rest == 0 ? 2 : 1;
  if (!just_now || me.lock_waits < waits_min) {
    mine.idle.last_rest = 0;
    return;
  }
  std::int64_t rest = mine.idle.last_rest * 2;
  if (rest < doze_min_nanoseconds) rest = doze_min_nanoseconds;
  if (rest > doze_max_nanoseconds) rest = doze_max_nanoseconds;
  mine.idle.rest = mine.idle.last_rest = rest;
}

// What timers made ready has run: how long did each take?
void many_to_many::end_busy(processor& mine, std::int64_t now) noexcept {
  const std::int64_t span = now - mine.idle.busy_since;
  const unsigned threads = mine.ticks.load(base::relaxed) - mine.idle.busy_since_tick;  // ours
  mine.idle.thread_nanoseconds = span / (threads != 0 ? threads : 1);
  mine.idle.busy_since = 0;
}

// What an idle worker can see without touching anything.
many_to_many::outlook many_to_many::look_from_afar(processor& mine, std::int64_t now) noexcept {
  mine.idle.looked = now;
  if (closing_.load(base::acquire) || !injected_.looks_empty() || !levels_.looks_empty() ||
      somebody_is_preempted()) {
    return outlook::work;
  }
  if (mine.timers.has_expired(now) || guest_timers_.has_expired(now)) return outlook::work;
  if (alone_) return outlook::nothing;
  outlook best = outlook::nothing;
  for (unsigned i = 0; i < width_; ++i) {
    processor& victim = processors_[i];
    if (&victim == &mine) continue;
    if (victim.timers.has_expired(now) || victim.ring.size() > 1) return outlook::work;
    const outlook lone = watch(mine, victim, now);
    if (lone == outlook::work) return lone;
    if (lone == outlook::perhaps) best = lone;
  }
  return best;
}

// A single thread or continuation is worth taking only when there has been one at every look for a
// while: on a processor that queues and runs one after another the thief would come too late. Which
// one it is does not matter; two that give way to each other are as many as one that waits.
many_to_many::outlook many_to_many::watch(processor& mine, processor& victim,
                                          std::int64_t now) noexcept {
  sighting& seen = mine.seen;
  const thread* lone = victim.ring.first();
  if (lone == nullptr) lone = victim.parents.oldest();
  if (lone == nullptr) lone = victim.next.look();
  if (seen.victim == sighting::nobody) {
    if (lone == nullptr) return outlook::nothing;
    seen = {victim.index, 0, now};
  }
  if (seen.victim != victim.index) return lone == nullptr ? outlook::nothing : outlook::perhaps;
  if (lone == nullptr) {
    seen.victim = sighting::nobody;
    return outlook::nothing;
  }
  std::int64_t patience = patience_nanoseconds;
  // After a fight, what comes out of the lock's list is left there longer. relaxed: a guess; the
  // record may even be another thread's by now, but it is one.
  if (mine.idle.last_rest > patience && lone->now.load(base::relaxed).why == wait_reason::mutex) {
    patience = mine.idle.last_rest;
  }
  const bool lasting = ++seen.looks >= looks_min && now - seen.since >= patience;
  return lasting ? outlook::work : outlook::perhaps;
}

// Higher levels, own queue, the queue for all, timers of everybody, then other processors from a
// random one on, then low levels.
thread* many_to_many::look_everywhere(processor& mine, std::int64_t now) noexcept {
  mine.idle.looked = now;
  fire_quietly(mine, mine.timers, now);
  fire_quietly(mine, guest_timers_, now);
  if (thread* found = pick_when_idle(mine)) return found;
  if (alone_) return levels_.pop(thread_levels::all);
  mine.random = mine.random * 1664525 + 1013904223;  // sourced: Numerical Recipes' generator
  const unsigned first = (mine.random >> 8) % width_;
  for (unsigned i = 0; i < width_; ++i) {
    processor& victim = processors_[(first + i) % width_];
    if (&victim == &mine) continue;
    if (fire_quietly(mine, victim.timers, now)) {
      if (thread* found = pick_when_idle(mine)) return found;
    }
    if (thread* found = steal_from(mine, victim, now)) return found;
  }
  // Those of low levels have waited for that.
  return levels_.pop(thread_levels::all);
}

// Wakes sleeping threads, but no worker for them: as one who spins, for the time being.
bool many_to_many::fire_quietly(processor& mine, timer_queue& timers, std::int64_t now) noexcept {
  if (!timers.has_expired(now)) return false;
  const bool spins = !alone_ && idle_.start_spinning();
  const std::size_t woken = fire(timers, now);
  if (spins) idle_.stop_spinning();
  mine.idle.hushed = mine.idle.hushed || spins;
  mine.idle.fired = mine.idle.fired || woken != 0;
  mine.idle.sleepers_woken += woken;
  return woken != 0;
}

// Shares what was found by itself. A few threads that a timer woke and that, by the last ones, will
// be done before another worker is awake, are not worth it: with many sleepers it would be woken
// for every few of them. Should they last, who has the watch or follows it sees them soon.
void many_to_many::offer_found(processor& mine, bool napped) noexcept {
  if (alone_) return;
  const std::size_t more = mine.ring.size();
  // Who lay down while we were leaving the poller may have taken us for its keeper.
  bool offers = std::exchange(mine.idle.hushed, false) || napped;
  if (mine.idle.fired) {
    const std::int64_t now = base::monotonic_now();
    mine.idle.busy_since = now;
    mine.idle.busy_since_tick = mine.ticks.load(base::relaxed);  // relaxed: our own
    const auto all = static_cast<std::int64_t>(more + 1);
    const std::int64_t soon = crowd_.is_here() ? crowd::nap_nanoseconds / 2 : spin_nanoseconds;
    const std::int64_t later = now + 2 * doze_max_nanoseconds;
    offers = mine.idle.thread_nanoseconds > soon / all || idle_.has_events() ||
             !injected_.looks_empty() || !levels_.looks_empty() ||
             (!idle_.somebody_follows(later) && !idle_.somebody_watches(later));
  }
  if (offers) offer(more != 0);
}

thread* many_to_many::steal_from(processor& mine, processor& victim, std::int64_t now) noexcept {
  thread* found = nullptr;
  if (victim.ring.size() > 1) {
    std::uint64_t taken = 0;
    found = victim.ring.steal_half_into(mine.ring, taken);
    if (found != nullptr) mine.stolen_threads.add(taken);
  } else {
    found = steal_lone(mine, victim, now);
    if (found != nullptr) mine.stolen_threads.add(1);
  }
  if (found != nullptr) mine.steals.add(1);
  return found;
}

thread* many_to_many::steal_lone(processor& mine, processor& victim, std::int64_t now) noexcept {
  if (watch(mine, victim, now) != outlook::work) return nullptr;
  mine.seen.victim = sighting::nobody;
  std::uint64_t taken = 0;
  if (thread* found = victim.ring.steal_half_into(mine.ring, taken)) return found;
  if (thread* found = victim.parents.steal()) return found;
  return victim.next.steal(victim.next.look());
}

deadline many_to_many::earliest_timer() const noexcept {
  std::int64_t earliest = guest_timers_.earliest.load(base::seq_cst);
  for (unsigned i = 0; i < width_; ++i) {
    // seq_cst: after lying down; see timer_queue
    const std::int64_t one = processors_[i].timers.earliest.load(base::seq_cst);
    if (one < earliest) earliest = one;
  }
  return deadline::at(earliest);
}

// A guess.
std::size_t many_to_many::sleepers() const noexcept {
  std::size_t all = guest_timers_.armed_about();
  for (unsigned i = 0; i < width_; ++i) all += processors_[i].timers.armed_about();
  return all;
}

// Sleeps until there may be work. True when a waker made us the spinner.
bool many_to_many::nap(processor& mine, idleness& rest) noexcept {
  idle_.lie_down(mine.index);
  memory_.give_up_surplus(mine);
  const bool beside = !idle_.all_asleep(width_);
  // The last look: what came in before we lay down is seen here, and whoever queues from now on
  // sees us.
  if (injected_.looks_empty() && levels_.looks_empty() && !somebody_is_preempted() &&
      !closing_.load(base::seq_cst)) {
    mine.sleeps.add(1);
    rest.dozed = beside && dozers_.begin(width_);
    if (beside && !rest.dozed) {
      idle_.sleep(mine.index, deadline::never(), rest.away);
    } else {
      sleep_till_due(mine, rest);
    }
    if (beside) dozers_.end(rest.dozed);
  }
  const bool woken = idle_.get_up(mine.index);
  vigil_->stir(mine);
  return woken;
}

// As a dozer, or beside nobody awake: until the next timer, or soon after it.
void many_to_many::sleep_till_due(processor& mine, idleness& rest) noexcept {
  const bool resting = rest.dozed && mine.idle.rest != 0;
  const std::int64_t timer = earliest_timer().nanoseconds();
  std::int64_t until = timer;
  const bool follows =
      idle_.somebody_watches(timer) && timer < timer_queue::no_deadline - doze_max_nanoseconds;
  if (follows) until += vigil_->escorts(mine) ? follow_soon_nanoseconds : doze_max_nanoseconds;
  if (rest.dozed) {
    const std::int64_t at = base::monotonic_now() + (resting ? mine.idle.rest : rest.doze);
    if (at < until) until = at;
    if (!resting && rest.doze < doze_max_nanoseconds) rest.doze *= 2;
  }
  if (resting) idle_.begin_rest(mine.index);
  std::int64_t ends = until;
  const auto count = [this] { return sleepers(); };
  if (!follows && !rest.dozed) {
    const std::size_t woken = std::exchange(mine.idle.sleepers_woken, 0);
    ends = crowd_.gets_up(mine.idle.looked, until, woken, count);
  }
  if (!follows && ends == timer) {
    ends = wake_ahead_.asks_for(mine.idle.looked, timer, idle_.has_events(), count);
  }
  follows ? idle_.begin_following(until) : idle_.begin_watch(until);
  idle_.sleep(mine.index, deadline::at(ends), rest.away);
  follows ? idle_.end_following(until) : idle_.end_watch(until);
  if (resting) idle_.end_rest(mine.index);
}

}  // namespace treadle::core
