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
//   there are some who never ran, newcomers_slices_max of them;
//   a hog of a higher level than all that wait has level_slices, and a preempted thread of a lower
//   level than all that are queued waits for so many.
// Holder only, from the idle context: no yield, hand-over or fork pays anything.
// Rejected: a queue of its own for newcomers, served like the preempted: of a hundred that were
// just started and stop at once, each would wait for a slice of its own. A shorter first slice: the
// kernel's tick is half a slice, so four loops make 16 ms.
// Source of the feedback: Corbato, Merwin-Daggett and Daley, "An experimental time-sharing system",
// AFIPS'62.
#include <algorithm>

#include "treadle/sched/many_to_many.hpp"

namespace treadle::core {
namespace {

// Guess: with fewer, five loops started together would let one of them go twice in a row.
constexpr unsigned turns_passed_max = 4;
// Guess: so many loops started together are all found out before the first of them goes on.
constexpr std::int64_t newcomers_slices_max = 4;
// Guess: among hogs of two levels the higher ones have so many times the slices of the lower.
constexpr std::int64_t level_slices = 8;

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
  return base::monotonic_now() - mine.queues_since >= turn_of_queues(mine);
}

// How long the queues run before a preempted thread goes on.
std::int64_t many_to_many::turn_of_queues(const processor& mine) const noexcept {
  const std::int64_t slice = settings_.slice_nanoseconds;
  if (levels_in_use.load(base::relaxed)) [[unlikely]] {  // relaxed, both: guesses
    const priority preempted = preempted_highest_.load(base::relaxed);
    const priority queued = highest_queued(mine);
    if (preempted > queued) return slice / level_slices;
    if (preempted < queued) return slice * level_slices;
  }
  return mine.newcomers ? slice * newcomers_slices_max : slice;
}

// A guess. Without those that a thief would find.
priority many_to_many::highest_queued(const processor& mine) const noexcept {
  const queue::level_set there = levels_.occupied();
  const bool usual =
      mine.ring.size() != 0 || mine.next.look() != nullptr || !injected_.looks_empty();
  const unsigned highest = there == 0 ? 0 : 31U - static_cast<unsigned>(__builtin_clz(there));
  const auto level =
      static_cast<priority>(static_cast<int>(highest) - static_cast<int>(thread_levels::middle));
  return usual && level < priority::normal ? priority::normal : level;
}

// Whether `self`, whose slice is over, may go on all the same: only lower ones wait, and they have
// not waited for long. Holder only.
bool many_to_many::is_spared(processor& mine, const thread& self, std::int64_t now) noexcept {
  if (!levels_in_use.load(base::relaxed)) return false;  // relaxed: as everywhere
  priority waits = highest_queued(mine);
  // relaxed, all: guesses, and our own
  if (somebody_is_preempted()) waits = std::max(waits, preempted_highest_.load(base::relaxed));
  if (self.level.load(base::relaxed).effective <= waits) return false;
  const unsigned ticks = mine.ticks.load(base::relaxed);
  if (mine.spared_at_tick != ticks || mine.spared_since == 0) {
    mine.spared_at_tick = ticks;
    mine.spared_since = now;
    return true;
  }
  if (now - mine.spared_since < (level_slices - 1) * settings_.slice_nanoseconds) return true;
  mine.spared_since = 0;
  return false;
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
         (levels_.occupied() & thread_levels::below) != 0 ||
         (idle_.has_events() && !idle_.anybody_polls());
}

}  // namespace treadle::core
