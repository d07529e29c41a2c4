// How processors change hands in M:N.
//
// A worker gives its processor away, or lets go of it, or finds it taken. Two books must agree: the
// claim of the processor, and the idle workers' book, in which a released processor is listed as
// asleep, so that whoever has work for it finds it. The order that loses no wake-up:
//   who lets go: lies down in the book - releases the claim - looks for work once more, and whether
//   its bit is still there;
//   who wakes: clears the bit - looks at the claim - takes it on behalf of the reserve.
// Whoever swaps the claim out of released strikes the processor from the book, and if the bit was
// gone by then, the duty of the spinner that the waker took on is his.
// Nobody but the holder lies down, also who releases the processor of a blocked one. Rejected: to
// lie down first and get up again when that one is back. It may have gone idle itself by then, and
// has only one bit: it slept on, and in the book it was awake (one worker, thousands of reads that
// block: a hang every few minutes).
// A released processor in the book has a member in reserve: a wake-up cannot fail for want of one.
// When no member is left, the processor is released as an orphan, which is not in the book: whoever
// becomes spare next takes it.
#include "treadle/sched/many_to_many_vigil.hpp"

namespace treadle::core {

// What cannot wait for the holder to come back from the kernel. A guess from anywhere, exact for
// the holder.
bool many_to_many::has_work(processor& which) const noexcept {
  return somebody_waits(which, timer_queue::no_deadline - 1);
}

// The same, but only what a processor could run now, or by `soon`.
bool many_to_many::somebody_waits(processor& which, std::int64_t soon) const noexcept {
  return somebody_is_preempted() || somebody_queues(which, soon);
}

bool many_to_many::somebody_queues(processor& which, std::int64_t soon) const noexcept {
  return which.ring.size() != 0 || which.next.look() != nullptr ||
         which.parents.oldest() != nullptr || !injected_.looks_empty() || !levels_.looks_empty() ||
         has_timer_before(which, soon) || (events != nullptr && events->in_use());
}

bool many_to_many::has_timer_before(processor& which, std::int64_t soon) const noexcept {
  // seq_cst, both: as in earliest_timer()
  return which.timers.earliest.load(base::seq_cst) <= soon ||
         guest_timers_.earliest.load(base::seq_cst) <= soon;
}

bool many_to_many::regain(worker& on) noexcept {
  if (!has_processor(on)) return false;
  processor& mine = of(on);
  claim::seen before{};
  if (!mine.claim.reclaim(on.number, before)) {
    on.processor = &nowhere_;
    return false;
  }
  if (before.state() == hold::released) back_from_release(mine, before);
  return true;
}

void many_to_many::back_from_release(processor& mine, claim::seen before) noexcept {
  if (before.reserve() == 0) {
    orphans_.fetch_sub(1, base::relaxed);  // relaxed: a look too many does no harm
    return;
  }
  const bool woken = idle_.get_up(mine.index);
  become_spare(crew_[before.reserve()]);
  give_back_wake(woken);
  vigil_->stir(mine);
}

// Somebody had work for a processor that is not idle any more, and believes that we look for it.
void many_to_many::give_back_wake(bool woken) noexcept {
  if (!woken) return;
  idle_.stop_spinning();
  if (idle_.anybody_sleeps()) wake_one(true);
}

// The reserve gets the processor. False when the holder, or another one, was faster.
bool many_to_many::take_released(processor& which, claim::seen now) noexcept {
  if (now.state() != hold::released || now.reserve() == 0) return false;
  crew_member& reserve = crew_[now.reserve()];
  if (!which.claim.take(now, reserve.number)) return false;
  reserve.wake(&which, idle_.get_up(which.index));
  return true;
}

// Wakes an idle processor, with or without a worker.
void many_to_many::wake_one(bool resters_too) noexcept {
  const int woken = idle_.wake_one(resters_too);
  if (woken < 0) return;
  processor& which = processors_[woken];
  take_released(which, which.claim.look());
}

// Inside, by the holder.
void many_to_many::hand_to(processor& mine, crew_member& me, crew_member& other) noexcept {
  me.processor = &nowhere_;
  mine.claim.give(me.number, other.number);
  other.wake(&mine, false);
}

// Any kernel thread, for a member that sleeps or is about to.
void many_to_many::become_spare(crew_member& idle) noexcept {
  crew_.put_spare(idle);
  // seq_cst: of us and who makes an orphan one sees the other
  if (orphans_.load(base::seq_cst) != 0) [[unlikely]]
    adopt_orphans();
}

void many_to_many::adopt_orphans() noexcept {
  for (unsigned i = 0; i < width_;) {
    processor& which = processors_[i];
    claim::seen now = which.claim.look();
    if (now.state() != hold::released || now.reserve() != 0) {
      ++i;
      continue;
    }
    crew_member* taker = crew_.take_spare();
    const bool is_spare = taker != nullptr;
    if (!is_spare) taker = pop_preempted();
    if (taker == nullptr) return;
    if (which.claim.take(now, taker->number)) {
      orphans_.fetch_sub(1, base::relaxed);  // relaxed: as in back_from_release()
      taker->wake(&which, false);
      continue;
    }
    if (is_spare) {
      crew_.put_spare(*taker);
    } else {
      put_back_preempted(*taker);
    }
    i = 0;  // who made another orphan meanwhile did not find this taker
  }
}

// Inside, by the holder, when nobody is there to take over.
void many_to_many::orphan(processor& mine, crew_member& me) noexcept {
  memory_.give_up_all(mine);             // nobody could recall them
  orphans_.fetch_add(1, base::seq_cst);  // seq_cst: as in become_spare()
  mine.claim.release(me.number, 0);
  adopt_orphans();
}

// Inside, by the holder, with nothing to run.
void many_to_many::let_go(processor& mine, crew_member& me) noexcept {
  crew_member* reserve = crew_.take_spare();
  if (reserve == nullptr) return orphan(mine, me);
  idle_.lie_down(mine.index);
  mine.claim.release(me.number, reserve->number);
  // What came before the book had us is seen here; who comes later sees the book. Not only threads:
  // guests arm timers, open the poller and are preempted.
  if (!idle_.is_asleep(mine.index) || has_work(mine)) {
    take_released(mine, mine.claim.look());
  }
}

void many_to_many::enter_blocking() noexcept {
  auto& me = static_cast<crew_member&>(*current_worker_or_null());
  if (enter(me)) {
    processor& mine = of(me);
    if (!has_work(mine)) {
      let_go(mine, me);
    } else if (crew_member* other = crew_.take_spare()) {
      hand_to(mine, me, *other);
    } else {
      orphan(mine, me);
    }
  }
  leave(me);
}

void many_to_many::leave_blocking() noexcept {
  worker& on = *current_worker_or_null();
  if (!enter(on)) return move_to_processor(on);
  leave(on);
}

// Any worker that was relieved makes all wary: a burst of reads of a slow disk shall not block one
// worker after the other until the first is back.
bool many_to_many::lets_block() noexcept {
  if (report_.level < activation_level::proc) return false;
  worker& on = *current_worker_or_null();
  if (!has_processor(on)) return true;
  processor& mine = of(on);
  // relaxed, all: guesses
  const auto reliefs = static_cast<std::uint32_t>(reliefs_.load(base::relaxed));
  if (reliefs != mine.reliefs_seen.load(base::relaxed)) {
    mine.reliefs_seen.store(reliefs, base::relaxed);
    note_would_block();
  }
  const std::uint32_t wary = mine.wary.load(base::relaxed);
  if (wary != 0) mine.wary.store(wary - 1, base::relaxed);
  return wary == 0;
}

void many_to_many::note_would_block() noexcept {
  // Guess: a relief costs 20 us, and so many calls that are told not to block as much.
  constexpr std::uint32_t calls = 256;
  worker& on = *current_worker_or_null();
  if (has_processor(on)) of(on).wary.store(calls, base::relaxed);  // relaxed: as above
}

// A member without a processor. False when the runtime closes.
bool many_to_many::wait_for_processor(crew_member& me) noexcept {
  become_spare(me);
  for (;;) {
    const crew_member::order given = me.wait();
    if (given.about == nullptr) return false;
    auto& which = static_cast<processor&>(*given.about);
    outcome result = outcome::taken;
    if (!which.claim.is_held_by(me.number)) result = relieve(which, me);
    if (result == outcome::nothing) become_spare(me);
    if (result != outcome::taken) continue;
    me.processor = &which;
    if (given.as_spinner) {
      idle_.stop_spinning();
      which.idle.hushed = true;
      // Nobody was woken meanwhile for what may be there besides one thread for us.
      if ((injected_.size() > 1 || !levels_.looks_empty()) && idle_.anybody_sleeps())
        wake_one(true);
      find_dozer(false);
    }
    vigil_->stir(which);
    return true;
  }
}

// A sleeper without a processor. Whoever is awake looks at these timers, and who sleeps beside
// nobody awake must look again for how long.
void many_to_many::arm_as_guest(thread_body& body, deadline until, std::int64_t now) noexcept {
  guest_timers_.arm(body, until, now);
  if (idle_.anybody_sleeps()) wake_one(true);
}

// A guest is about to park, and perhaps for an event. Those who sleep beside nobody awake may have
// begun to before anybody could wait for events, and then none of them polls.
void many_to_many::guest_parks() noexcept {
  if (idle_.has_events() && !idle_.anybody_polls() && idle_.anybody_sleeps()) wake_one(true);
}

}  // namespace treadle::core
