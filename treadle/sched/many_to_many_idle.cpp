// The idle side of M:N: what a worker does when its processor has nothing to run.
//
// Run - look everywhere - spin (one worker at most) - nap. The order of the last step is what
// loses no work: stop spinning, lie down, look at every queue once more, sleep.
#include "treadle/context/overflow_report.hpp"
#include "treadle/sched/many_to_many.hpp"

namespace treadle::core {
namespace {

// Sourced: about what a futex wake-up costs both sides; longer spinning burns more than it saves.
constexpr std::int64_t spin_nanoseconds = 20'000;
// Guess: pauses between two looks; each look takes cache lines away from busy workers.
constexpr int pauses_between_looks = 16;
// Guess: a lone thread that its processor has not run for this long is worth a cache miss or ten.
constexpr std::int64_t patience_nanoseconds = 20'000;
// Guess: from one wake-up's cost to what a person or a disk does not notice.
constexpr std::int64_t doze_min_nanoseconds = 50'000;
constexpr std::int64_t doze_max_nanoseconds = 1'000'000;
// Guess: rounds of a mutex's spin; see sync/mutex.cpp.
constexpr unsigned lock_spins = 1;

}  // namespace

void* many_to_many::worker_main(void* argument) {
  auto& mine = *static_cast<processor*>(argument);
  const context::alternate_signal_stack signals;
  mine.self.scheduler = mine.home;
  mine.self.processor = static_cast<fiber_processor*>(&mine);
  mine.self.spins_max = mine.home->alone_ ? 0 : lock_spins;
  mine.self.adopt_kernel_thread(true);
  mine.home->work(mine);
  mine.self.release_kernel_thread();
  return nullptr;
}

void many_to_many::work(processor& mine) noexcept {
  while (thread* next = find_work(mine)) {
    run(mine.self, *next);
  }
}

// Null when the runtime closes.
thread* many_to_many::find_work(processor& mine) noexcept {
  std::int64_t doze = doze_min_nanoseconds;
  for (;;) {
    if (thread* found = look_everywhere(mine)) return found;
    if (closing_.load(base::acquire)) return nullptr;  // pairs with end_workers()
    if (!alone_ && idle_.start_spinning()) {
      thread* found = spin(mine);
      idle_.stop_spinning();
      if (found != nullptr) {
        // There may be more where this came from, and nobody was woken while we spun.
        offer(mine.ring.size() != 0);
        return found;
      }
    }
    const bool woken = nap(mine, doze);
    if (woken) {
      // The waker counts us as the spinner already.
      thread* found = spin(mine);
      idle_.stop_spinning();
      if (found != nullptr) {
        offer(mine.ring.size() != 0);
        return found;
      }
    } else if (thread* found = look_everywhere(mine)) {
      // Who lay down while we were leaving the poller may have taken us for its keeper.
      offer(mine.ring.size() != 0);
      return found;
    }
  }
}

thread* many_to_many::spin(processor& mine) noexcept {
  const std::int64_t until = base::monotonic_now() + spin_nanoseconds;
  do {
    idle_.look_in(mine.index);
    if (thread* found = look_everywhere(mine)) return found;
    for (int i = 0; i < pauses_between_looks; ++i) base::spin_hint();
  } while (base::monotonic_now() < until);
  return nullptr;
}

// Own queue, the queue for all, timers of everybody, then other processors from a random one on.
thread* many_to_many::look_everywhere(processor& mine) noexcept {
  const std::int64_t now = base::monotonic_now();
  fire(mine.timers, now);
  if (thread* found = pick_local(mine)) return found;
  if (alone_) return nullptr;
  mine.random = mine.random * 1664525 + 1013904223;  // sourced: Numerical Recipes' generator
  const unsigned first = (mine.random >> 8) % width_;
  for (unsigned i = 0; i < width_; ++i) {
    processor& victim = processors_[(first + i) % width_];
    if (&victim == &mine) continue;
    if (fire(victim.timers, now)) {
      if (thread* found = pick_local(mine)) return found;
    }
    if (thread* found = steal_from(mine, victim, now)) return found;
  }
  return nullptr;
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

// A single thread or continuation: only when it has been there for a while.
thread* many_to_many::steal_lone(processor& mine, processor& victim, std::int64_t now) noexcept {
  const void* seen = victim.ring.first();
  if (seen == nullptr) seen = victim.parents.oldest();
  if (seen == nullptr) seen = victim.next.look();
  if (seen == nullptr) return nullptr;
  if (seen != mine.seen_item || mine.seen_victim != victim.index) {
    mine.seen_item = seen;
    mine.seen_victim = victim.index;
    mine.seen_since = now;
    return nullptr;
  }
  if (now - mine.seen_since < patience_nanoseconds) return nullptr;
  mine.seen_item = nullptr;
  std::uint64_t taken = 0;
  if (thread* found = victim.ring.steal_half_into(mine.ring, taken)) return found;
  if (thread* found = victim.parents.steal()) return found;
  return victim.next.steal(victim.next.look());
}

deadline many_to_many::earliest_timer() const noexcept {
  std::int64_t earliest = timer_queue::no_deadline;
  for (unsigned i = 0; i < width_; ++i) {
    // seq_cst: after lying down; see timer_queue
    const std::int64_t one = processors_[i].timers.earliest.load(base::seq_cst);
    if (one < earliest) earliest = one;
  }
  return deadline::at(earliest);
}

// Sleeps until there may be work. True when a waker made us the spinner.
bool many_to_many::nap(processor& mine, std::int64_t& doze) noexcept {
  idle_.lie_down(mine.index);
  const bool dozing = !idle_.all_asleep(width_);
  // The last look: everything queued before we lay down is seen here, and whoever queues from
  // now on sees us. What a look takes must be given to our own queue: we may be woken as well.
  thread* found = injected_.looks_empty() ? nullptr : take_injected(mine);
  if (found == nullptr && !closing_.load(base::seq_cst)) {
    deadline until = earliest_timer();
    if (dozing) {
      const std::int64_t at = base::monotonic_now() + doze;
      if (at < until.nanoseconds()) until = deadline::at(at);
      if (doze < doze_max_nanoseconds) doze *= 2;
    }
    mine.sleeps.add(1);
    idle_.sleep(mine.index, until, dozing);
  }
  const bool woken = idle_.get_up(mine.index);
  if (found != nullptr && !mine.ring.push(found)) overflow(mine, *found);
  return woken;
}

}  // namespace treadle::core
