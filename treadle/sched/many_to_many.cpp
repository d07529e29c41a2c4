#include "treadle/sched/many_to_many_vigil.hpp"

#include <cerrno>
#include <new>

#include "treadle/base/system_call.hpp"

namespace treadle::core {

static_assert(scheduler<many_to_many>);

namespace {

// Guess: more threads than this blocked in the kernel at once are a job for the io room.
constexpr unsigned extra_workers_max = 512;

}  // namespace

many_to_many::many_to_many(unsigned width, stack_sizes sizes,
                           activation_settings activation) noexcept
    : fiber_scheduler(sizes),
      width_(width < workers_max ? width : workers_max),
      alone_(width == 1),
      plain_(width == 1),
      settings_(activation) {}

many_to_many::~many_to_many() {
  delete vigil_;
  delete[] processors_;
}

scheduler_counters many_to_many::counters() const noexcept {
  scheduler_counters sum;
  if (processors_ == nullptr) return sum;
  // All ends before all starts: close() relies on it, see there.
  sum.threads_finished = finished_outside_.load(base::acquire);  // acquire: as started_outside_
  for (unsigned i = 0; i < width_; ++i) sum.threads_finished += processors_[i].finished.get();
  sum.threads_started = started_outside_.load(base::acquire);  // acquire: after the ends
  for (unsigned i = 0; i < width_; ++i) {
    const processor& one = processors_[i];
    sum.threads_started += one.started.get();
    sum.steals += one.steals.get();
    sum.stolen_threads += one.stolen_threads.get();
    sum.sleeps += one.sleeps.get();
  }
  sum.wakeups = idle_.wakeups();
  // relaxed, both: statistics
  sum.preemptions = preemptions_.load(base::relaxed);
  sum.reliefs = reliefs_.load(base::relaxed);
  return sum;
}

thread* many_to_many::pick_local(processor& mine) noexcept {
  if (alone_) return pick_alone(mine);
  thread* found = mine.next.take();
  if (found == nullptr) found = mine.ring.pop();
  return found != nullptr ? found : pick_rarely(mine);
}

// For the first processor that looks.
void many_to_many::ready_by_level(thread& which) noexcept {
  push_to_level(which);
  if (idle_.anybody_sleeps()) wake_one(true);
}

void many_to_many::ready_shared(processor& mine, thread& which) noexcept {
  if (which.is_levelled()) [[unlikely]]
    return ready_by_level(which);
  if (alone_) {
    if (thread* displaced = mine.next.put_alone(&which)) queue_last(mine, *displaced);
    return;
  }
  if (thread* displaced = mine.next.put(&which)) {
    ready_last_shared(mine, *displaced);
  } else {
    offer(mine.ring.size() != 0);
  }
}

void many_to_many::ready_last_shared(processor& mine, thread& which) noexcept {
  if (which.is_levelled()) [[unlikely]]
    return ready_by_level(which);
  queue_last(mine, which);
  if (!alone_) offer(mine.ring.size() > 1);
}

// Neither next slot nor ring had one.
thread* many_to_many::pick_rarely(processor& mine) noexcept {
  thread* parent = alone_ ? mine.parents.pop_alone() : mine.parents.pop();
  return parent != nullptr ? parent : take_injected(mine);
}

// Every so many threads, and while there are threads of other levels every turn or every few.
thread* many_to_many::look_around(processor& mine, unsigned turn) noexcept {
  const bool all = (turn & look_around_mask) == 0;
  if (all) look_for_news(mine);
  // A preempted thread that has waited for as long as others may run has its turn.
  if (all && preempted_is_due(mine)) [[unlikely]] {
    mine.preempted_next = true;
    return nullptr;
  }
  if (all) queue_oldest_parent(mine);
  if (thread* found = pick_at_turn(mine, turn)) return found;
  thread* found = all ? pick_oldest(mine) : nullptr;
  return found != nullptr ? found : pick_local(mine);
}

// What a busy processor would otherwise never see. Who was woken last stays in front of it: a lock
// may be kept for it, and it would be behind all that was ready before.
void many_to_many::look_for_news(processor& mine) noexcept {
  memory_.give_up_surplus(mine);
  thread* const first = alone_ ? mine.next.take_alone() : mine.next.take();
  if (mine.timers.earliest.load(base::relaxed) != timer_queue::no_deadline) {  // relaxed: ours
    fire(mine.timers, base::monotonic_now());
  }
  // relaxed: a guess, made often
  if (guest_timers_.earliest.load(base::relaxed) != timer_queue::no_deadline) [[unlikely]]
    fire(guest_timers_, base::monotonic_now());
  idle_.look_in(mine.index);
  if (first == nullptr) return;
  thread* const displaced = alone_ ? mine.next.put_alone(first) : mine.next.put(first);
  if (displaced != nullptr) ready_last_shared(mine, *displaced);
}

// The ring's head before the next slot; the queue for all before both.
thread* many_to_many::pick_oldest(processor& mine) noexcept {
  thread* found = take_injected(mine);
  return found != nullptr ? found : mine.ring.pop();
}

// Null: the usual threads as always.
thread* many_to_many::pick_at_turn(processor& mine, unsigned turn) noexcept {
  return mine.turns.pick(levels_, turn, [this, &mine, turn]() noexcept {
    // The turns that they get are few: now the queue for all first, now the ring's head.
    thread* found = turn % (2 * turns_share) != 0 ? mine.ring.pop() : pick_oldest(mine);
    return found != nullptr ? found : pick_local(mine);
  });
}

// From the idle context.
thread* many_to_many::pick_when_idle(processor& mine) noexcept {
  if (!levels_.looks_empty()) [[unlikely]] {
    if (thread* found = pick_at_turn(mine, mine.tick())) return found;
  }
  return pick_local(mine);
}

// One to run now, and a share for the ring.
thread* many_to_many::take_injected(processor& mine) noexcept {
  base::chain<thread> taken = take_share(mine, 1);
  thread* first = taken.pop_front();
  queue_all(mine, taken);
  return first;
}

// This processor's share of the queue for all: at most what its ring has room for, and `beyond`.
base::chain<thread> many_to_many::take_share(processor& mine, std::size_t beyond) noexcept {
  const std::size_t waiting = injected_.size();
  if (waiting == 0) return {};
  const std::size_t room = mine.ring.capacity - mine.ring.size();
  std::size_t share = waiting / width_ + 1;
  if (share > mine.ring.capacity / 2) share = mine.ring.capacity / 2;
  if (share > room + beyond) share = room + beyond;
  return injected_.pop(share);
}

// Half of a full ring moves to the queue for all, in order, with the newcomer behind.
void many_to_many::overflow(processor& mine, thread& last) noexcept {
  base::chain<thread> moved;
  while (moved.size() < mine.ring.capacity / 2) {
    thread* oldest = mine.ring.pop();
    if (oldest == nullptr) break;
    moved.push_back(oldest);
  }
  moved.push_back(&last);
  injected_.push(moved);
}

void many_to_many::ready_from_outside(thread& which) noexcept {
  if (which.is_levelled()) [[unlikely]]
    return ready_by_level(which);
  injected_.push(&which);
  if (idle_.anybody_sleeps()) wake_one(true);
}

int many_to_many::open() noexcept {
  if (const int error = memory_.open(width_)) return error;
  idle_.events = events;
  if (!alone_) base::asymmetric_fence::prepare();
  processors_ = new (std::nothrow) processor[width_];
  vigil_ = new (std::nothrow) vigil(*this);
  if (processors_ == nullptr || vigil_ == nullptr) return ENOMEM;
  vigil_->open();
  prepare_preemption();
  for (unsigned i = 0; i < width_; ++i) {
    processor& one = processors_[i];
    one.index = i;
    one.random = 2 * i + 1;
    one.claim.begin(i + 1);
  }
  if (const int error = crew_.open(width_, extra_workers_max, &many_to_many::worker_main, this)) {
    end_workers();
    return error;
  }
  vigil_->begin();
  return 0;
}

void many_to_many::await_recall(std::int64_t until) noexcept {
  idle_.rouse_sleepers(width_);
  // The same for those that were let go of with nothing to run. Orphans keep no promises.
  for (unsigned i = 0; i < width_; ++i) take_released(processors_[i], processors_[i].claim.look());
  for (unsigned i = 0; i < width_; ++i) memory_.await_answer(processors_[i], until);
}

void many_to_many::settle() const noexcept {
  // Guess: the last threads of a runtime end within microseconds or not for long.
  constexpr std::int64_t poll_nanoseconds = 200'000;
  for (;;) {
    // counters() reads all ends before all starts. If both sums are equal, every thread started
    // before the first of those reads had ended by then, so nobody was left to start another.
    const scheduler_counters now = counters();
    if (now.threads_finished == now.threads_started) break;
    base::atomic<std::uint32_t> never{0};
    base::futex_wait(never, 0, deadline::at(base::monotonic_now() + poll_nanoseconds));
  }
}

void many_to_many::close() noexcept {
  settle();
  wait_for_outside_wakers();
  end_workers();
}

void many_to_many::end_workers() noexcept {
  vigil_->close();
  closing_.store(true, base::seq_cst);  // seq_cst: before the wake-up; pairs with nap()
  idle_.wake_all(width_);
  crew_.close();
  for (unsigned i = 0; i < width_; ++i) memory_.close(processors_[i]);
}

}  // namespace treadle::core
