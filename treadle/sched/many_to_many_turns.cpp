// In what order a processor serves its threads once one of them has used up a slice.
//
// A thread that was preempted waits apart, with its kernel thread (many_to_many_preempt.cpp): the
// preempted threads and the queues take turns of a slice each. Within a turn of the queues, who has
// given way before goes first, once, then who has never run: of those nobody knows yet whether they
// ever stop, and four endless loops that were started together would otherwise keep a thread that
// yields waiting for four slices. What bounds the waits:
//   who has given way before waits for one thread that has not, at most;
//   who never ran is passed over turns_passed_max times at most, then it goes first;
//   the preempted thread that waits longest goes on when the queues have had a slice; or, while
//   there are some who never ran, newcomers_slices_max of them.
// Holder only, from the idle context: no yield, hand-over or fork pays anything.
// Rejected: a queue of its own for newcomers, served like the preempted: of a hundred that were
// just started and stop at once, each would wait for a slice of its own. A shorter first slice: the
// kernel's tick is half a slice, so four loops make 16 ms.
// Source of the feedback: Corbato, Merwin-Daggett and Daley, "An experimental time-sharing system",
// AFIPS'62.
#include "treadle/sched/many_to_many.hpp"

namespace treadle::core {
namespace {

// Guess: with fewer, five loops started together would let one of them go twice in a row.
constexpr unsigned turns_passed_max = 4;
// Guess: so many loops started together are all found out before the first of them goes on.
constexpr std::int64_t newcomers_slices_max = 4;

// relaxed: whoever queued it published it
bool has_never_run(const thread& ready) noexcept {
  return ready.now.load(base::relaxed).why == wait_reason::started;
}

}  // namespace

// The first thing on a processor that was taken from a hog. True when those go first who have given
// way before.
bool many_to_many::begin_turn(processor& mine) noexcept {
  mine.turn_begins = false;
  gather(mine);
  unsigned tried = sort_ring(mine);
  if (mine.next.look() != nullptr) ++tried;
  if (tried == 0) return false;
  if (preempted_is_due(mine)) look_around_after(mine, tried);
  return true;
}

// Whether the queues have had their turn.
bool many_to_many::preempted_is_due(const processor& mine) const noexcept {
  if (preempted_count_.load(base::relaxed) == 0) return false;  // relaxed: a guess, made often
  const std::int64_t slices = mine.newcomers ? newcomers_slices_max : 1;
  return base::monotonic_now() - mine.queues_since >= slices * settings_.slice_nanoseconds;
}

// Everything that is ready and not in the ring yet, for who looks at that alone.
void many_to_many::gather(processor& mine) noexcept {
  const std::int64_t now = base::monotonic_now();
  fire(mine.timers, now);
  fire(guest_timers_, now);
  idle_.look_in(mine.index);
  queue_oldest_parent(mine);
  base::chain<thread> taken = take_share(mine, 0);
  queue_all(mine, taken);
}

// Says how many at its head have given way before.
unsigned many_to_many::sort_ring(processor& mine) noexcept {
  base::chain<thread> tried;
  base::chain<thread> untried;
  const thread* first_untried = nullptr;
  while (thread* one = mine.ring.pop()) {
    const bool fresh = has_never_run(*one);
    if (fresh && first_untried == nullptr) first_untried = one;
    (fresh ? untried : tried).push_back(one);
  }
  // Only compared: the record may be another thread's by now, which then goes first once.
  mine.newcomers = first_untried != nullptr;
  const bool same = first_untried != nullptr && first_untried == mine.passed_over;
  mine.turns_passed = same ? mine.turns_passed + 1 : 0;
  mine.passed_over = first_untried;
  if (mine.turns_passed > turns_passed_max) {
    tried.push_front(untried.pop_front());
    mine.passed_over = nullptr;
  }
  const auto count = static_cast<unsigned>(tried.size());
  queue_all(mine, tried);
  queue_all(mine, untried);
  return count;
}

// For threads that the ring has room for.
void many_to_many::queue_all(processor& mine, base::chain<thread>& those) noexcept {
  while (thread* one = those.pop_front()) {
    const bool fits = mine.ring.push(one);
    TREADLE_CHECK(fits, "only the owner fills its ring");
  }
}

// Who has forked a child that does not come back, because it waits or was preempted, would stand
// behind all who are ever queued here.
void many_to_many::queue_oldest_parent(processor& mine) noexcept {
  if (mine.parents.oldest() == nullptr) return;
  if (thread* parent = mine.parents.steal()) queue_last(mine, *parent);
}

// The first of `picks` threads has been picked without a tick when the next tick counts.
void many_to_many::look_around_after(processor& mine, unsigned picks) noexcept {
  if (picks > look_around_mask) return;
  // relaxed, both: as in tick()
  const unsigned now = mine.ticks.load(base::relaxed);
  mine.ticks.store((now | look_around_mask) + 1 - picks, base::relaxed);
}

// By the monitor, for a processor whose threads stop rarely, so that the next look around is far
// away: it will be at the next stop. The holder may count at the same time, and then this is lost,
// or a count: the next round of the monitor tries again.
void many_to_many::hurry_look_around(processor& which, unsigned ticks) noexcept {
  which.ticks.store(ticks | look_around_mask, base::relaxed);  // relaxed: as in tick()
}

// Whether something waits that only a look around finds. A guess, by the monitor.
bool many_to_many::is_overdue(const processor& which, std::int64_t now) const noexcept {
  return which.timers.has_expired(now) || guest_timers_.has_expired(now) ||
         !injected_.looks_empty() || somebody_is_preempted() ||
         (idle_.has_events() && !idle_.anybody_polls());
}

}  // namespace treadle::core
