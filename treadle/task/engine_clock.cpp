// Who looks at the clock of tasks: no thread of its own does.
//
// Carriers at work look at it now and then, and before they rest. Of those that rest one, the
// keeper, sleeps until the next timer is due; it is called last when there is work. Another one
// follows a millisecond behind, for what the keeper finds may keep it. Nobody is told of an earlier
// timer: the carrier of who arms it looks itself before it rests, and then keeps the clock in the
// other's place. If it blocks instead, begin_block() calls another that does; if it has other work
// and does not come to look, the watch looks in its place.
// What timers have made ready when there was nothing else to do is not worth waking another carrier
// for, if it will be done by then: a guess by how long turns took the last time. Should it last,
// the watch calls one at its next look, and the next guess is another.
// Rejected: a thread that sleeps until the next timer (each firing costs two switches more, a lock
// for each task, and where there are two processors a wake-up of the idle one: 10.2 us a sleeper
// with two workers); telling the keeper of earlier timers (a wake-up for each that is armed).
#include <limits>
#include <utility>

#include "treadle/sched/wake_ahead.hpp"
#include "treadle/task/engine.hpp"

namespace treadle::tasks {
namespace {

// Sourced: about what it costs both sides to wake another carrier, as for workers.
constexpr std::int64_t wake_nanoseconds = 20'000;
// Guess, as for workers: who follows the keeper is late by so much where that does not come back.
constexpr std::int64_t follow_nanoseconds = 1'000'000;
// Guess: half of a carrier's ring; a carrier that is never idle looks once in 61 turns.
constexpr std::size_t fired_at_once = 128;

}  // namespace

// How many it has woken.
std::size_t engine::fire(carrier& mine) noexcept {
  if (clock_.earliest() == clock::never) return 0;
  mine.looked_ = base::monotonic_now();
  mine.is_apart_ = true;
  const std::size_t woken = clock_.fire(mine.looked_, fired_at_once);
  mine.is_apart_ = false;
  mine.fired_ += woken;
  return woken;
}

// By the watch. Not what a keeper that naps with a crowd leaves until it gets up.
void engine::fire_overdue() noexcept {
  const std::int64_t now = base::monotonic_now();
  if (clock_.earliest() > now - core::crowd::nap_nanoseconds) return;
  static_cast<void>(clock_.fire(now, std::numeric_limits<std::size_t>::max()));
}

// With nothing else to do. False when there is nothing now, either.
bool engine::fire_when_idle(carrier& mine) noexcept {
  end_busy(mine);
  const std::size_t woken = fire(mine);
  if (woken == 0) return false;
  mine.busy_since_ = mine.looked_;
  mine.busy_since_turn_ = mine.turns_.load(base::relaxed);  // relaxed: our own
  mine.alone_turns_ = 0;
  const std::int64_t soon = crowd_.is_here() ? core::crowd::nap_nanoseconds / 2 : wake_nanoseconds;
  if (mine.turn_nanoseconds_ <= soon / static_cast<std::int64_t>(woken)) {
    mine.alone_turns_ = static_cast<std::uint32_t>(woken) + 1;  // from this one on
  } else if (idle_.load(base::relaxed) != 0) {                  // relaxed: a guess
    wake_one();  // also for the clock, which this one may not come back to soon
  }
  return true;
}

// What timers had made ready has run: how long did each turn take?
void engine::end_busy(carrier& mine) noexcept {
  if (mine.busy_since_ == 0) return;
  const std::uint32_t turns = mine.turns_.load(base::relaxed) - mine.busy_since_turn_;  // ours
  const std::int64_t span = base::monotonic_now() - mine.busy_since_;
  mine.turn_nanoseconds_ = span / (turns != 0 ? turns : 1);
  mine.busy_since_ = 0;
}

// Whether what is ready here is not worth waking another carrier.
bool engine::works_alone(const carrier& mine) const noexcept {
  // relaxed: our own
  return mine.turns_.load(base::relaxed) - mine.busy_since_turn_ < mine.alone_turns_;
}

// By a carrier that ends.
void engine::hand_clock_on() noexcept {
  {
    const base::guard hold(lock_);
    if (is_clock_kept()) return;
  }
  wake_one();
}

// With the lock held, by a carrier that lies down: until when it sleeps.
base::deadline engine::keep_clock(carrier& mine) noexcept {
  const std::size_t woken = std::exchange(mine.fired_, 0);
  if (is_clock_kept()) {
    // With a crowd it would be up for most of its naps (bench sleepers, two workers: 0.7 us each).
    const bool is_followed = follower_ != nullptr || crowd_.is_here();
    if (keeper_ == nullptr || is_followed) return base::deadline::never();
    follower_ = &mine;
    // Cannot overflow: deadlines end a second or two before the clock's range does.
    return base::deadline::at(kept_for_ + follow_nanoseconds);
  }
  keeper_ = &mine;
  kept_for_ = clock_.earliest();
  const auto sleepers = [this] { return clock_.armed_about(); };
  std::int64_t at = crowd_.gets_up(mine.looked_, kept_for_, woken, sleepers);
  // A worker, which takes us for one sleeper, asks for it that much ahead.
  if (core::wake_ahead::come_together(mine.looked_, kept_for_, sleepers)) {
    at += base::usual_timer_slack_nanoseconds;
  }
  return base::deadline::at(at);
}

// With the lock held, by or for a carrier that rests no longer.
void engine::leave_clock(const carrier& mine) noexcept {
  if (keeper_ == &mine) keeper_ = nullptr;
  if (follower_ == &mine) follower_ = nullptr;
}

// With the lock held.
bool engine::is_clock_kept() const noexcept {
  const std::int64_t next = clock_.earliest();
  return next == clock::never || (keeper_ != nullptr && kept_for_ <= next);
}

}  // namespace treadle::tasks
