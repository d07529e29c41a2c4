// The watch: a task that keeps its carrier does not keep the tasks behind it.
//
// A thread of the runtime that looks every now and then, while a carrier is at work, which of them
// have not come back from their task since the last look. If work waits meanwhile, one of those is
// written off: it counts as blocked until it comes back, and another carrier goes on. The tasks in
// its queues are taken from there, as any carrier's are. Where nobody preempts, it would never run
// beside such a task, and is not started.
// It also wakes those whose time has come when nobody has looked at the clock, and has the carriers
// at work look at the queue for all, as many long turns may pass until they would.
// It sleeps when no carrier is at work; whoever puts one to work rouses it, under the same lock.
// Rejected: a look by the carriers that are idle (with one processor there is none); a carrier for
// each processor beyond those at work (each wake-up would have to choose between two kinds).
#include "treadle/task/engine.hpp"
#include "treadle/task/own_thread.hpp"

namespace treadle::tasks {
namespace {

// A task that keeps its carrier is written off after one to two of these: within the 10 ms that a
// thread has for its slice. Guess: half of that, 200 looks a second.
constexpr std::chrono::nanoseconds watch_interval = std::chrono::milliseconds(5);
// relaxed: a guess. One that is merely ready waits for a processor as all threads do.
bool is_at_work(const core::thread& carrier) noexcept {
  const core::situation now = carrier.now.load(base::relaxed);
  return now.state == core::thread_state::running || now.why == core::wait_reason::preempted;
}

// Guess: so many computing tasks share the processors with all others.
constexpr unsigned written_off_max = 64;

}  // namespace

// After the first carrier. Without memory there is none, and nobody misses it but for hogs.
void engine::open_watch() noexcept {
  if (!others_go_on_) return;
  {
    const base::guard hold(lock_);
    if (watch_ != watch::none) return;
    watch_ = watch::awake;
  }
  if (start_own_thread<&engine::keep_watch>(home_, "watch of tasks", *this) != 0) {
    const base::guard hold(lock_);
    watch_ = watch::none;
  }
}

// With the lock held: whom to unpark after it, as somebody goes to work.
core::thread* engine::rouse_watch() noexcept {
  if (watch_ != watch::asleep) [[likely]]
    return nullptr;
  watch_ = watch::awake;
  return watcher_;
}

// When the engine ends. Not while there is a carrier: a thread may have started another task since
// all was quiet, and that one's carrier does it at its own end.
void engine::end_watch() noexcept {
  core::thread* watcher = nullptr;
  {
    const base::guard hold(lock_);
    if (watch_ == watch::none) return;
    const unsigned taken = seats_taken_.load(base::relaxed);  // relaxed: under the lock
    for (unsigned i = 0; i < taken; ++i) {
      if (seats_[i].load(base::relaxed)->in_use_) return;  // relaxed: as above
    }
    watch_ends_ = true;
    watcher = watcher_;
  }
  if (watcher != nullptr) core::scheduler_port::unpark(*watcher);
}

void engine::keep_watch() noexcept {
  {
    const base::guard hold(lock_);
    watcher_ = &core::current_thread();
    // Nobody could tell us.
    if (watch_ends_) core::scheduler_port::unpark(*watcher_);
  }
  base::deadline until = base::deadline::after(watch_interval);
  for (;;) {
    const core::wake end = home_.park(core::wait_reason::runtime, until);
    bool sleeps = false;
    {
      const base::guard hold(lock_);
      if (watch_ends_) {
        watch_ = watch::none;
        watcher_ = nullptr;
        return;
      }
      sleeps = watch_ == watch::asleep;
    }
    if (sleeps) continue;
    const bool was_roused = until.is_never();
    if (!was_roused && end != core::wake::timed_out) continue;
    const bool goes_on = was_roused || look_at_carriers();
    until = goes_on ? base::deadline::after(watch_interval) : base::deadline::never();
  }
}

// False when none is at work: the watch then sleeps.
bool engine::look_at_carriers() noexcept {
  fire_overdue();
  const bool work_waits = anybody_waits();
  base::chain<core::thread> stranded;
  carrier* gone = nullptr;
  bool is_needed = false;
  {
    const base::guard hold(lock_);
    // relaxed, all: under the lock
    const unsigned counted = counted_.load(base::relaxed);
    // Where memory was short all may have been written off, or be blocked, and nobody goes on.
    const bool nobody_goes_on = work_waits && counted == 0;
    if (counted == idle_.load(base::relaxed) && !nobody_goes_on) {
      watch_ = watch::asleep;
      return false;
    }
    if (!injected_.looks_empty()) ask_to_look();
    gone = write_off_one(work_waits, stranded);
    is_needed = (gone != nullptr || nobody_goes_on) && !are_enough();
  }
  if (gone != nullptr) {
    // What it has put there before, we see; if it puts something there later, it sees that it is
    // written off, see share().
    base::asymmetric_fence::rarely();
    if (core::thread* const woken = gone->woken_.steal(gone->woken_.look())) {
      stranded.push_back(woken);
    }
  }
  while (core::thread* const woken = stranded.pop_front()) push_for_all(*woken);
  if (is_needed) {
    static_cast<void>(add_carrier());  // without memory the next look tries again
  } else if (gone != nullptr || work_waits) {
    wake_one();  // also for what a carrier has kept for itself, see works_alone()
  }
  return true;
}

// With the lock held.
void engine::ask_to_look() noexcept {
  const unsigned taken = seats_taken_.load(base::relaxed);  // relaxed: under the lock
  for (unsigned i = 0; i < taken; ++i) {
    // relaxed, both: as above; a guess that the next look of ours corrects
    seats_[i].load(base::relaxed)->looks_.store(true, base::relaxed);
  }
}

// Also whom a task has woken that has not come back yet.
bool engine::anybody_waits() noexcept {
  const unsigned seats = seats_taken_.load(base::acquire);  // pairs with take_seat()
  for (unsigned i = 0; i < seats; ++i) {
    // pairs with take_seat()
    if (seats_[i].load(base::acquire)->woken_.look() != nullptr) return true;
  }
  return has_work();
}

// With the lock held. Null when none is. Notes where all are, and takes from those who have not
// moved whom they have woken last.
carrier* engine::write_off_one(bool work_waits, base::chain<core::thread>& stranded) noexcept {
  const unsigned taken = seats_taken_.load(base::relaxed);  // relaxed: under the lock
  const bool may_find = work_waits && written_off_ < written_off_max;
  carrier* found = nullptr;
  for (unsigned i = 0; i < taken; ++i) {
    carrier& one = *seats_[i].load(base::relaxed);  // relaxed: as above
    // relaxed: only compared
    const std::uint32_t turns = one.turns_.load(base::relaxed);
    const bool has_moved = turns != one.seen_turns_;
    one.seen_turns_ = turns;
    if (has_moved || !one.in_use_ || one.is_idle_ || one.is_blocked_) continue;
    if (core::thread* const woken = one.woken_.steal(one.woken_.look())) stranded.push_back(woken);
    if (!may_find || found != nullptr) continue;
    const bool counts = !one.written_off_.load(base::relaxed);  // relaxed: under the lock
    if (!counts || one.record_ == nullptr || !is_at_work(*one.record_)) continue;
    one.written_off_.store(true, base::relaxed);  // relaxed: the carrier looks under the lock
    ++written_off_;
    count(-1);
    found = &one;
  }
  return found;
}

// By a carrier that has come back, and goes to work without having been called.
void engine::count_again(carrier& mine) noexcept {
  core::thread* watcher = nullptr;
  {
    const base::guard hold(lock_);
    recount(mine);
    watcher = rouse_watch();
  }
  if (watcher != nullptr) core::scheduler_port::unpark(*watcher);
}

// With the lock held.
void engine::recount(carrier& mine) noexcept {
  if (!mine.written_off_.load(base::relaxed)) return;  // relaxed: as above
  mine.written_off_.store(false, base::relaxed);
  --written_off_;
  count(1);
}

}  // namespace treadle::tasks
