#include "treadle/task/engine.hpp"

#include <cerrno>
#include <coroutine>
#include <new>
#include <utility>

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/task/own_thread.hpp"

namespace treadle::tasks {

engine::engine(core::scheduler_port& home, bool others_go_on) noexcept
    : home_(home), port_(*this), width_(home.width()), others_go_on_(others_go_on) {
  port_.owner = home.owner;
  port_.for_children = home.for_children;
  base::asymmetric_fence::prepare();
}

engine::~engine() {
  // acquire: pairs with task_port::make_ready()
  base::spin_pause pause;
  while (wakers_.load(base::acquire) != 0) pause.once();
  for (base::atomic<carrier*>& seat : seats_) {
    carrier* const one = seat.load(base::relaxed);  // relaxed: nobody else is left
    if (one == nullptr) break;
    delete one;
  }
}

core::thread* engine::make_record() noexcept {
  core::thread* const made = core::record_pool::acquire(core::current_worker().records);
  if (made == nullptr) return nullptr;
  made->bound = false;
  made->forked = false;
  made->last_word = 0;
  made->scheduler = &port_;
  made->completion.begin();
  core::transition(*made, core::thread_state::fresh, core::thread_state::running,
                   core::wait_reason::started);
  return made;
}

void engine::free_record(core::thread& record) noexcept {
  core::worker& on = core::current_worker();
  if (record.now.load(base::relaxed).state == core::thread_state::running) {  // relaxed: ours
    core::transition(record, core::thread_state::running, core::thread_state::finished,
                     core::wait_reason::exited);
  }
  core::record_pool::release(on.records, record);
}

int engine::start(core::thread& record) noexcept {
  carrier* const mine = current_carrier_or_null();
  const bool from_task = mine != nullptr && &mine->of_ == this;
  // Without the lock: who is about to leave too few sees to it, too.
  if (!from_task || !are_enough()) {
    if (const int error = ensure_carrier()) return error;
  }
  if (from_task) {
    // release: pairs with is_quiet(). relaxed: owner only
    mine->started_.store(mine->started_.load(base::relaxed) + 1, base::release);
  } else {
    started_outside_.fetch_add(1, base::acq_rel);  // as above
  }
  requeue(record);
  if (idle_.load(base::relaxed) != 0) wake_one();  // relaxed: push() has looked with care
  // The last carrier may have been about to end. Without memory for another the task waits.
  if (ends_.load(base::seq_cst)) static_cast<void>(ensure_carrier());  // seq_cst: as in end()
  return 0;
}

void engine::requeue(core::thread& record) noexcept {
  core::transition(record, core::thread_state::running, core::thread_state::ready,
                   core::wait_reason::yield);
  push(record);
}

void engine::make_ready(core::thread& claimed) noexcept {
  core::transition(claimed, core::thread_state::parked, core::thread_state::ready,
                   core::wait_reason::none);
  core::thread* const self = core::current_thread_or_null();
  if (carrier* const mine = carrier_of(self)) [[likely]]
    return mine->is_apart_ ? push_last(*mine, claimed) : push_woken(*mine, claimed);
  if (self != nullptr && self->scheduler->owner == port_.owner) return push_for_all(claimed);
  // A waker that may still be here when the task has ended, and all threads of the runtime.
  // relaxed: the task cannot end before it has been pushed
  wakers_.fetch_add(1, base::relaxed);
  push_for_all(claimed);
  wakers_.fetch_sub(1, base::release);  // pairs with the destructor; the last touch
}

// The carrier on whose thread `self` the caller is, if it comes back to what is pushed there.
carrier* engine::carrier_of(core::thread* self) noexcept {
  carrier* const mine = self != nullptr ? self->scheduler->carrier : nullptr;
  return mine != nullptr && &mine->of_ == this && mine->away_ == 0 ? mine : nullptr;
}

void engine::push(core::thread& record) noexcept {
  if (carrier* const mine = carrier_of(core::current_thread_or_null())) {
    push_last(*mine, record);
  } else {
    push_for_all(record);
  }
}

void engine::push_for_all(core::thread& record) noexcept {
  injected_.push(&record);
  if (idle_.load(base::seq_cst) != 0) wake_one();  // seq_cst: see the file head
}

// Who was there goes behind all that are ready: no two tasks keep the carrier to themselves.
void engine::push_woken(carrier& mine, core::thread& record) noexcept {
  if (core::thread* const displaced = mine.woken_.put(&record)) return push_last(mine, *displaced);
  // relaxed: see the file head
  if (idle_.load(base::relaxed) != 0 || mine.is_written_off()) [[unlikely]]
    share(mine);
}

void engine::push_last(carrier& mine, core::thread& record) noexcept {
  if (!mine.ready_.push(&record)) [[unlikely]]
    return overflow(mine, record);
  // relaxed: see the file head
  if (idle_.load(base::relaxed) != 0 || mine.is_written_off()) [[unlikely]]
    share(mine);
}

// After a push, when others may have to see to it. One alone is run here, and soon, but not while
// the carrier is written off.
void engine::share(carrier& mine) noexcept {
  if (!mine.is_written_off()) {
    // Whom events and timers wake is counted when all of them are here, see step().
    if (mine.waiting() > 1 && !mine.is_apart_ && !works_alone(mine)) wake_one();
    return;
  }
  if (core::thread* const woken = mine.woken_.take()) injected_.push(woken);
  // Others steal only when they have nothing to do themselves.
  while (core::thread* const waiting = mine.ready_.pop()) injected_.push(waiting);
  base::asymmetric_fence::full();                  // who goes idle, or we, sees the other
  if (idle_.load(base::seq_cst) != 0) wake_one();  // as in push_for_all()
}

// One alone is for others, too: who forks may run another child for long first.
void engine::share_fork(carrier& mine) noexcept {
  mine.is_written_off() ? share(mine) : static_cast<void>(wake_one());
}

// Half of a full ring moves to the queue for all, in order, with the newcomer behind.
void engine::overflow(carrier& mine, core::thread& last) noexcept {
  base::chain<core::thread> moved;
  while (moved.size() < carrier::ready_max / 2) {
    core::thread* const oldest = mine.ready_.pop();
    if (oldest == nullptr) break;
    moved.push_back(oldest);
  }
  moved.push_back(&last);
  injected_.push(moved);
  if (idle_.load(base::seq_cst) != 0) wake_one();  // as in push_for_all()
}

void engine::queue_fork(core::thread*& record, void* frame) noexcept {
  record = make_record();
  TREADLE_CHECK(record != nullptr, "no memory for the record of a task");
  record->begin_with([](void* at) { std::coroutine_handle<>::from_address(at).resume(); },
                     {{reinterpret_cast<std::uintptr_t>(frame), 0}});
  requeue(*record);
}

bool engine::wake_one() noexcept {
  core::thread* called = nullptr;
  core::thread* watcher = nullptr;
  {
    const base::guard hold(lock_);
    if (first_idle_ == nullptr) return false;
    // Who keeps the clock comes last.
    const bool spares_first = first_idle_ == keeper_ && first_idle_->next_idle_ != nullptr;
    carrier*& at = spares_first ? first_idle_->next_idle_ : first_idle_;
    carrier* const first = at;
    at = first->next_idle_;
    first->is_idle_ = false;
    leave_clock(*first);
    idle_.store(idle_.load(base::relaxed) - 1, base::seq_cst);  // relaxed: under the lock
    called = first->record_;
    first->called_.store(true, base::release);  // pairs with rest()
    watcher = rouse_watch();
  }
  core::scheduler_port::unpark(*called);
  if (watcher != nullptr) [[unlikely]]
    core::scheduler_port::unpark(*watcher);
  return true;
}

// With lock_ held: a carrier that nobody uses, or null.
carrier* engine::take_seat() noexcept {
  const unsigned taken = seats_taken_.load(base::relaxed);  // relaxed: under the lock
  for (unsigned i = 0; i < taken; ++i) {
    carrier* const one = seats_[i].load(base::relaxed);  // relaxed: as above
    if (!one->in_use_) return one;
  }
  if (taken == carriers_max) return nullptr;
  auto* const made = new (std::nothrow) carrier(*this, home_);
  if (made == nullptr) return nullptr;
  seats_[taken].store(made, base::release);      // pairs with steal()
  seats_taken_.store(taken + 1, base::release);  // as above
  return made;
}

int engine::add_carrier() noexcept {
  carrier* seat = nullptr;
  core::thread* watcher = nullptr;
  {
    const base::guard hold(lock_);
    seat = take_seat();
    if (seat == nullptr) return EAGAIN;
    seat->in_use_ = true;
    seat->record_ = nullptr;
    count(1);
    watch_ends_ = false;  // whoever asked for that was the last one, and is not any more
    watcher = rouse_watch();
  }
  if (watcher != nullptr) {
    core::scheduler_port::unpark(*watcher);
  } else {
    open_watch();
  }
  constexpr auto carry_on = [](carrier& mine) noexcept { mine.of_.carry(mine); };
  const int error = start_own_thread<carry_on>(home_, "carrier of tasks", *seat);
  if (error != 0) {
    {
      const base::guard hold(lock_);
      seat->in_use_ = false;
      count(-1);
    }
    // Who ended meanwhile has left the watch to us.
    if (ends_.load(base::seq_cst)) end_watch();  // seq_cst: pairs with end()
  }
  return error;
}

// Before work is pushed by a thread or a task: another carrier unless there are enough. An error
// only when there is none at all.
int engine::ensure_carrier() noexcept {
  bool is_first = false;
  {
    const base::guard hold(lock_);
    if (are_enough()) return 0;
    is_first = counted_.load(base::relaxed) == 0;  // relaxed: under the lock
  }
  const int error = add_carrier();
  return is_first ? error : 0;
}

// A task is about to park its carrier's thread, or to block it. Somebody must be there for the
// others.
void engine::begin_block(carrier& mine) noexcept {
  if (mine.away_ != 0) {
    ++mine.away_;
    return;
  }
  // Nobody else would take it.
  if (core::thread* const woken = mine.woken_.take()) push_last(mine, *woken);
  ++mine.away_;
  bool is_needed = false;
  bool is_kept = false;
  {
    const base::guard hold(lock_);
    recount(mine);
    mine.is_blocked_ = true;
    count(-1);
    is_needed = !are_enough();
    is_kept = is_clock_kept();
  }
  if (is_needed) {
    static_cast<void>(add_carrier());  // without memory the tasks wait until this one is back
  } else if (mine.ready_.size() != 0 || mine.forks_.oldest() != nullptr || !is_kept) {
    wake_one();
  }
}

void engine::end_block(carrier& mine) noexcept {
  if (--mine.away_ != 0) return;
  core::thread* watcher = nullptr;
  {
    const base::guard hold(lock_);
    mine.is_blocked_ = false;
    count(1);
    watcher = rouse_watch();
  }
  if (watcher != nullptr) core::scheduler_port::unpark(*watcher);
}

void engine::end() noexcept {
  ends_.store(true, base::seq_cst);  // seq_cst: pairs with rest()
  while (wake_one()) {
  }
  end_watch();  // also where no carrier could be started
}

}  // namespace treadle::tasks
