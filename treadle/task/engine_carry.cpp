// The engine on its carriers: what to run next, what a coroutine leaves to do, and going idle.
#include <coroutine>
#include <utility>

#include "treadle/task/engine.hpp"

namespace treadle::tasks {

void engine::carry(carrier& mine) noexcept {
  core::thread& self = core::current_thread();
  begin_carrying(mine, self);
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
  const auto wake_joiner = [](core::thread& joiner) noexcept {
    core::scheduler_port::unpark(joiner);
  };
  record.completion.end(
      [&]() noexcept {
        unused.entry(reinterpret_cast<void*>(unused.first_word));
        free_record(record);
      },
      wake_joiner, wake_joiner);
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

// Null also when others have their turn.
core::thread* engine::take_woken_next(carrier& mine) noexcept {
  if (mine.woken_in_a_row_ == carrier::woken_in_a_row_max) return nullptr;
  core::thread* const found = mine.woken_.take();
  if (found != nullptr) ++mine.woken_in_a_row_;
  return found;
}

// For who has nothing in its ring, and no forks.
core::thread* engine::take_elsewhere(carrier& mine, void*& frame) noexcept {
  core::thread* found = take_injected(mine);
  if (found == nullptr) found = mine.woken_.take();
  return found != nullptr ? found : steal(mine, frame);
}

// False when there is nothing to run.
bool engine::step(carrier& mine) noexcept {
  const std::uint32_t turn = mine.turns_.load(base::relaxed) + 1;
  mine.turns_.store(turn, base::relaxed);                  // relaxed: only compared by the watch
  if (mine.written_off_.load(base::relaxed)) [[unlikely]]  // relaxed: written while we were away
    count_again(mine);
  if (turn % yield_interval == 0) {
    mine.is_apart_ = true;
    home_.yield();
    mine.is_apart_ = false;
  }
  core::thread* record = nullptr;
  void* frame = nullptr;
  if (turn % look_interval == 0 || mine.looks_.load(base::relaxed)) [[unlikely]] {
    mine.looks_.store(false,
                      base::relaxed);  // relaxed, both: the next look of the watch asks again
    static_cast<void>(fire(mine));
    record = take_injected(mine);
    if (record == nullptr) record = mine.ready_.pop();
  } else {
    record = take_woken_next(mine);
  }
  if (record == nullptr) {
    mine.woken_in_a_row_ = 0;
    frame = mine.forks_.pop();
    if (frame == nullptr) record = mine.ready_.pop();
    if (record == nullptr && frame == nullptr) {
      // Before the work of others: it may have been called for the clock.
      if (clock_.earliest() != clock::never && fire_when_idle(mine)) return true;
      record = take_elsewhere(mine, frame);
      if (record == nullptr && frame == nullptr) return false;
    }
  }
  // relaxed: see the file head
  if (idle_.load(base::relaxed) != 0 && mine.waiting() != 0 && !works_alone(mine)) [[unlikely]]
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

// False when there are carriers enough without it.
bool engine::lie_down(carrier& mine, base::deadline& until) noexcept {
  end_busy(mine);
  const base::guard hold(lock_);
  recount(mine);
  if (counted_.load(base::relaxed) > width_) {  // relaxed: under the lock
    count(-1);
    mine.in_use_ = false;
    return false;
  }
  mine.called_.store(false, base::relaxed);  // relaxed: under the lock
  mine.is_idle_ = true;
  mine.next_idle_ = first_idle_;
  first_idle_ = &mine;
  idle_.store(idle_.load(base::relaxed) + 1, base::seq_cst);  // seq_cst: see the file head
  until = keep_clock(mine);
  return true;
}

// Unless somebody has called it meanwhile.
void engine::get_up(carrier& mine) noexcept {
  core::thread* watcher = nullptr;
  {
    const base::guard hold(lock_);
    if (!mine.is_idle_) return;
    carrier** at = &first_idle_;
    while (*at != &mine) at = &(*at)->next_idle_;
    *at = mine.next_idle_;
    mine.is_idle_ = false;
    leave_clock(mine);
    idle_.store(idle_.load(base::relaxed) - 1, base::seq_cst);  // relaxed: under the lock
    watcher = rouse_watch();
  }
  if (watcher != nullptr) core::scheduler_port::unpark(*watcher);
}

// Without work: waits for some. False when the carrier is to end.
bool engine::rest(carrier& mine) noexcept {
  base::deadline until = base::deadline::never();
  if (!lie_down(mine, until)) {
    // Who found that not all was quiet may have waited for us.
    if (ends_.load(base::seq_cst)) end();  // seq_cst: pairs with end()
    hand_clock_on();
    return false;
  }
  const bool is_over = ends_.load(base::seq_cst) && is_quiet();  // seq_cst: pairs with end()
  if (!is_over && !has_work()) {
    bool is_due = false;
    ++mine.away_;
    while (!mine.called_.load(base::acquire) && !is_due) {  // pairs with wake_one()
      is_due = home_.park(core::wait_reason::runtime, until) == core::wake::timed_out;
    }
    --mine.away_;
    if (!is_due) return true;
  }
  get_up(mine);
  if (!is_over) return true;
  {
    const base::guard hold(lock_);
    // Of us and start() one sees the other.
    if (has_work()) return true;
    recount(mine);
    count(-1);
    mine.in_use_ = false;
  }
  end();
  return false;
}

}  // namespace treadle::tasks
