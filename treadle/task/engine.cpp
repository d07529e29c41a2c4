#include "treadle/task/engine.hpp"

#include <cerrno>
#include <coroutine>
#include <new>
#include <utility>

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/sched/join.hpp"

namespace treadle::tasks {

engine::engine(core::scheduler_port& home) noexcept
    : home_(home), port_(*this), width_(home.width()), clock_(home) {
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
  // relaxed: nobody else knows the record yet
  made->completion.store(core::thread::unjoined, base::relaxed);
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
  if (const int error = ensure_carrier()) return error;
  carrier* const mine = current_carrier_or_null();
  if (mine != nullptr && &mine->of_ == this) {
    // release: pairs with is_quiet(). relaxed: owner only
    mine->started_.store(mine->started_.load(base::relaxed) + 1, base::release);
  } else {
    started_outside_.fetch_add(1, base::acq_rel);  // as above
  }
  requeue(record);
  if (idle_.load(base::relaxed) != 0) wake_one();  // relaxed: push() has looked with care
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
  if (self != nullptr && self->scheduler->owner == port_.owner) [[likely]]
    return push(claimed);
  // A waker that may still be here when the task has ended, and all threads of the runtime.
  // relaxed: the task cannot end before it has been pushed
  wakers_.fetch_add(1, base::relaxed);
  push(claimed);
  wakers_.fetch_sub(1, base::release);  // pairs with the destructor; the last touch
}

void engine::push(core::thread& record) noexcept {
  carrier* const mine = current_carrier_or_null();
  if (mine == nullptr || &mine->of_ != this) {
    injected_.push(&record);
    if (idle_.load(base::seq_cst) != 0) wake_one();  // seq_cst: see the file head
    return;
  }
  if (!mine->ready_.push(&record)) [[unlikely]]
    return overflow(*mine, record);
  // relaxed: see the file head. One alone is run here, and soon
  if (idle_.load(base::relaxed) != 0 && mine->ready_.size() > 1) wake_one();
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
  if (idle_.load(base::seq_cst) != 0) wake_one();  // as in push()
}

void engine::queue_fork(core::thread*& record, void* frame) noexcept {
  record = make_record();
  TREADLE_CHECK(record != nullptr, "no memory for the record of a task");
  record->begin_with([](void* at) { std::coroutine_handle<>::from_address(at).resume(); },
                     {{reinterpret_cast<std::uintptr_t>(frame), 0}});
  requeue(*record);
}

void engine::call_for_help() noexcept { wake_one(); }

bool engine::wake_one() noexcept {
  core::thread* called = nullptr;
  {
    const base::guard hold(lock_);
    carrier* const first = first_idle_;
    if (first == nullptr) return false;
    first_idle_ = first->next_idle_;
    first->is_idle_ = false;
    idle_.store(idle_.load(base::relaxed) - 1, base::seq_cst);  // relaxed: under the lock
    called = first->record_;
    first->called_.store(true, base::release);  // pairs with rest()
  }
  core::scheduler_port::unpark(*called);
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
  {
    const base::guard hold(lock_);
    seat = take_seat();
    if (seat == nullptr) return EAGAIN;
    seat->in_use_ = true;
    ++running_;
  }
  core::creation wanted;
  wanted.name = "carrier of tasks";
  wanted.bind_now = true;
  core::thread* made = nullptr;
  int error = home_.create(wanted, made);
  if (error == 0) {
    made->body->entry = [](void* memory) noexcept {
      carrier& mine = **static_cast<carrier**>(memory);
      mine.of_.carry(mine);
    };
    made->body->inline_closure.words[0] = reinterpret_cast<std::uintptr_t>(seat);
    error = home_.start(*made);
    if (error != 0) home_.discard(*made);
  }
  if (error == 0) {
    core::detach(*made);
  } else {
    const base::guard hold(lock_);
    seat->in_use_ = false;
    --running_;
  }
  return error;
}

// Before work is pushed by a thread or a task: another carrier unless there are enough. An error
// only when there is none at all.
int engine::ensure_carrier() noexcept {
  bool is_first = false;
  {
    const base::guard hold(lock_);
    if (first_idle_ != nullptr || running_ - blocked_ >= width_) return 0;
    is_first = running_ == blocked_;
  }
  const int error = add_carrier();
  return is_first ? error : 0;
}

// A task is about to park its carrier's thread. Somebody must be there for the others.
void engine::begin_block(carrier& mine) noexcept {
  bool is_needed = false;
  {
    const base::guard hold(lock_);
    ++blocked_;
    is_needed = first_idle_ == nullptr && running_ - blocked_ < width_;
  }
  if (is_needed) {
    static_cast<void>(add_carrier());  // without memory the tasks wait until this one is back
  } else if (mine.ready_.size() != 0 || mine.forks_.oldest() != nullptr) {
    wake_one();
  }
}

void engine::end_block() noexcept {
  const base::guard hold(lock_);
  --blocked_;
}

void engine::end() noexcept {
  ends_.store(true, base::seq_cst);  // seq_cst: pairs with rest()
  while (wake_one()) {
  }
}

// ---- on carriers ----

void engine::carry(carrier& mine) noexcept {
  core::thread& self = core::current_thread();
  mine.record_ = &self;
  self.scheduler = &mine;
  do {
    while (step(mine)) {
    }
  } while (rest(mine));
  self.scheduler = &home_;
}

void engine::run(carrier& mine, core::thread& record) noexcept {
  core::transition(record, core::thread_state::ready, core::thread_state::running,
                   core::wait_reason::none);
  record.start.entry(reinterpret_cast<void*>(record.start.first_word));
  settle(mine);
}

// A coroutine has come back: does what it left to do, until nothing is left.
void engine::settle(carrier& mine) noexcept {
  for (;;) {
    if (mine.next_ != nullptr) {
      void* const next = std::exchange(mine.next_, nullptr);
      std::coroutine_handle<>::from_address(next).resume();
    } else if (mine.left_ != nullptr) {
      finish_leaving(mine);
    } else {
      return;
    }
  }
}

void engine::finish_leaving(carrier& mine) noexcept {
  core::thread& record = *std::exchange(mine.left_, nullptr);
  switch (mine.left_by_) {
    case carrier::after::parked:
      if (record.permit.publish_parked()) return;
      // Woken already, perhaps for no reason: it looks by itself.
      core::transition(record, core::thread_state::parked, core::thread_state::running,
                       core::wait_reason::none);
      record.start.entry(reinterpret_cast<void*>(record.start.first_word));
      return;
    case carrier::after::yielded:
      return requeue(record);
    case carrier::after::ended:
      return end_spawned(mine, record);
  }
}

// As the end of a thread. Whoever joins frees the record, and what the frame still holds.
void engine::end_spawned(carrier& mine, core::thread& record) noexcept {
  core::transition(record, core::thread_state::running, core::thread_state::finished,
                   core::wait_reason::exited);
  const core::beginning unused = record.start;
  // acq_rel: release what the task did to its joiner; acquire the joiner's record
  const std::uintptr_t before =
      record.completion.exchange(core::thread::has_finished, base::acq_rel);
  if (before == core::thread::detached) {
    unused.entry(reinterpret_cast<void*>(unused.first_word));
    free_record(record);
  } else if (before != core::thread::unjoined) {
    core::scheduler_port::unpark(*core::thread::joiner_in(before));
  }
  // release: pairs with is_quiet(). relaxed: owner only
  mine.finished_.store(mine.finished_.load(base::relaxed) + 1, base::release);
}

void engine::end_at_once(core::thread& record) noexcept {
  carrier& mine = current_carrier();
  mine.of_.end_spawned(mine, record);
}

// One to run now, and a share for the ring.
core::thread* engine::take_injected(carrier& mine) noexcept {
  const std::size_t waiting = injected_.size();
  if (waiting == 0) return nullptr;
  const std::size_t room = carrier::ready_max - mine.ready_.size();
  std::size_t share = waiting / width_ + 1;
  if (share > carrier::ready_max / 2) share = carrier::ready_max / 2;
  if (share > room + 1) share = room + 1;
  base::chain<core::thread> taken = injected_.pop(share);
  core::thread* const first = taken.pop_front();
  while (core::thread* const next = taken.pop_front()) mine.ready_.push_into_room(next);
  return first;
}

// From the other carriers, also from those whose thread waits.
core::thread* engine::steal(carrier& mine, void*& frame) noexcept {
  const unsigned seats = seats_taken_.load(base::acquire);  // pairs with take_seat()
  const unsigned start = core::current_worker().random_below(seats);
  for (unsigned i = 0; i < seats; ++i) {
    const unsigned at = start + i < seats ? start + i : start + i - seats;
    carrier* const victim = seats_[at].load(base::acquire);  // pairs with take_seat()
    if (victim == &mine) continue;
    frame = victim->forks_.steal();
    if (frame != nullptr) return nullptr;
    std::uint64_t taken = 0;
    if (core::thread* const first = victim->ready_.steal_half_into(mine.ready_, taken)) {
      return first;
    }
  }
  return nullptr;
}

// False when there is nothing to run.
bool engine::step(carrier& mine) noexcept {
  ++mine.turns_;
  if (mine.turns_ % yield_interval == 0) home_.yield();
  core::thread* record = nullptr;
  void* frame = nullptr;
  if (mine.turns_ % look_interval == 0) [[unlikely]] {
    record = take_injected(mine);
    if (record == nullptr) record = mine.ready_.pop();
  }
  if (record == nullptr) frame = mine.forks_.pop();
  if (record == nullptr && frame == nullptr) {
    record = mine.ready_.pop();
    if (record == nullptr) record = take_injected(mine);
    if (record == nullptr) record = steal(mine, frame);
    if (record == nullptr && frame == nullptr) return false;
  }
  // relaxed: see the file head
  if (idle_.load(base::relaxed) != 0 && mine.ready_.size() != 0) [[unlikely]]
    wake_one();
  if (record != nullptr) {
    run(mine, *record);
  } else {
    mine.next_ = frame;
    settle(mine);
  }
  return true;
}

bool engine::has_work() noexcept {
  if (!injected_.looks_empty()) return true;
  const unsigned seats = seats_taken_.load(base::acquire);  // pairs with take_seat()
  for (unsigned i = 0; i < seats; ++i) {
    carrier& one = *seats_[i].load(base::acquire);  // pairs with take_seat()
    if (one.ready_.size() != 0 || one.forks_.oldest() != nullptr) return true;
  }
  return false;
}

// All ends before all starts: if both sums are equal, no task was there at that point to start
// another.
bool engine::is_quiet() noexcept {
  const unsigned seats = seats_taken_.load(base::acquire);  // pairs with take_seat()
  std::uint64_t finished = 0;
  // acquire, all: ends before starts
  for (unsigned i = 0; i < seats; ++i) {
    finished += seats_[i].load(base::acquire)->finished_.load(base::acquire);
  }
  std::uint64_t started = started_outside_.load(base::acquire);
  for (unsigned i = 0; i < seats; ++i) {
    started += seats_[i].load(base::acquire)->started_.load(base::acquire);
  }
  return started == finished;
}

// Without work: waits for some. False when the carrier is to end.
bool engine::rest(carrier& mine) noexcept {
  {
    const base::guard hold(lock_);
    if (running_ - blocked_ > width_) {
      --running_;
      mine.in_use_ = false;
      return false;
    }
    mine.called_.store(false, base::relaxed);  // relaxed: under the lock
    mine.is_idle_ = true;
    mine.next_idle_ = first_idle_;
    first_idle_ = &mine;
    idle_.store(idle_.load(base::relaxed) + 1, base::seq_cst);  // seq_cst: see the file head
  }
  const bool is_over = ends_.load(base::seq_cst) && is_quiet();  // seq_cst: pairs with end()
  if (!is_over && !has_work()) {
    while (!mine.called_.load(base::acquire)) {  // pairs with wake_one()
      static_cast<void>(home_.park(core::wait_reason::runtime, base::deadline::never()));
    }
    return true;
  }
  {
    const base::guard hold(lock_);
    if (mine.is_idle_) {
      carrier** at = &first_idle_;
      while (*at != &mine) at = &(*at)->next_idle_;
      *at = mine.next_idle_;
      mine.is_idle_ = false;
      idle_.store(idle_.load(base::relaxed) - 1, base::seq_cst);  // relaxed: under the lock
    }
    if (!is_over) return true;
    --running_;
    mine.in_use_ = false;
  }
  clock_.end();
  end();
  return false;
}

}  // namespace treadle::tasks
