// A carrier: a thread of the runtime that runs tasks, one after another, on its own stack.
//
// What a task waits with is a thread record without a stack (see suspension.hpp); its wake-up puts
// the record into a queue of the carrier on whose thread it happens, or into the engine's for all.
// Whom the running task has woken last goes before the ring: a lock may be kept for it, and all
// others would queue for that meanwhile. Every so many of these, somebody else has a turn.
// While its thread runs tasks, the carrier stands in for the thread's scheduler: so it sees
// when a task parks the whole thread, by waiting as a thread does, and sees that others go on
// with the tasks meanwhile. All else is passed on to the scheduler.
// Invariants: only the carrier's own thread pushes to `ready` and `forks`; any carrier takes.
// Only a task that runs here puts into `woken`, and only the carrier takes from it, or the watch,
// when the task has not come back for long: it is empty while the thread waits or has ended.
// Nothing is pushed there while the thread waits, or is about to: on its way it may look for
// events, and nobody would come back to what they made ready.
// Rejected: thieves that take from `woken`, too (who is woken runs when its waker stops, mostly
// before a thief has looked twice); a task that wakes up as a fresh thread on a warm stack (20 ns
// more for each step, and a wake-up could fail for want of memory).
#pragma once

#include <cstdint>

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/queue/fork_deque.hpp"
#include "treadle/queue/next_slot.hpp"
#include "treadle/queue/steal_ring.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"
#include "treadle/task/clock.hpp"

namespace treadle::tasks {

class carrier final : public core::scheduler_port {
 public:
  carrier(engine& of, core::scheduler_port& home) noexcept : of_(of), home_(home) {
    tasks = &of;
    owner = home.owner;
    for_children = home.for_children;
    events = home.events;
    carrier::scheduler_port::carrier = this;
  }

  // Passed on. Not in line: a compiler that sees their bodies guesses that a wake-up by anybody
  // comes here, and compares first.
  int create(const core::creation& wanted, core::thread*& made) noexcept override;
  void discard(core::thread& unstarted) noexcept override;
  core::thread* spawn(core::closure_function entry, core::small_closure closure,
                      int& error) noexcept override;
  int start(core::thread& fresh) noexcept override;
  void make_ready(core::thread& claimed) noexcept override;
  void yield() noexcept override;
  [[noreturn]] void exit() noexcept override;
  int fork(core::thread& child, core::fork_point& point) noexcept override;
  int spawn_child(core::closure_function entry, const core::child_closure& closure,
                  core::fork_point& point) noexcept override;
  void enter_blocking() noexcept override;
  void leave_blocking() noexcept override;
  void reap(core::thread& finished) noexcept override;
  int set_level(core::thread& which, core::thread_level wanted) noexcept override;
  void use_levels() noexcept override;
  unsigned width() const noexcept override;
  core::scheduler_counters counters() const noexcept override;

  // A task parks the thread that carries it.
  core::wake park(core::wait_reason why, core::deadline until) noexcept override;
  void park_until_set(core::thread& self, const base::atomic<bool>& flag,
                      core::wait_reason why) noexcept override;
  void join(core::thread& which) noexcept override;

 private:
  friend class engine;

  // What is left to do for a task that stopped running.
  enum class after : std::uint8_t { parked, yielded, ended };

  // Guess, as for processors: more ready tasks than this go to the queue for all.
  static constexpr std::uint64_t ready_max = 256;
  // Guess: deeper forks queue like any ready task.
  static constexpr std::int64_t forks_max = 1024;
  // Sourced: Tokio's worker. Measured (bench --peers, mixed, two workers): 15 and 60 are the same.
  static constexpr unsigned woken_in_a_row_max = 3;

  // How many wait here for a turn: a guess from anywhere; forks are not counted.
  std::uint64_t waiting() const noexcept {
    return ready_.size() + (woken_.look() != nullptr ? 1 : 0);
  }
  // Owner only. Whether the watch counts it no more: asked after a push. Of the two one sees what
  // the other has done, see look_at_carriers().
  bool is_written_off() const noexcept {
    base::asymmetric_fence::often();
    return written_off_.load(base::relaxed);  // relaxed: ordered by the fence
  }

  // Fixed after start.
  engine& of_;
  core::scheduler_port& home_;
  // Owner writes, the watch reads.
  base::atomic<std::uint32_t> turns_{0};
  // Owner only.
  unsigned away_ = 0;            // waits of its thread, one inside the other
  unsigned woken_in_a_row_ = 0;  // as many of `woken` have just had a turn
  bool is_apart_ = false;        // it looks for events or timers: whom they wake, no task has woken
  // Of timers: when it last looked at them, and whom they have woken here since its last rest.
  std::int64_t looked_ = 0;
  std::size_t fired_ = 0;
  // Of the last time that they had made tasks ready when there was nothing else: when it began, or
  // 0 when it is over; at which turn; for how many turns no other carrier is called; and how long
  // each turn took, at first for ever.
  std::int64_t busy_since_ = 0;
  std::uint32_t busy_since_turn_ = 0;
  std::uint32_t alone_turns_ = 0;
  std::int64_t turn_nanoseconds_ = clock::never;
  // What is to be done when the running coroutine has come back, and nothing of it is in use.
  void* next_ = nullptr;  // the frame to resume
  core::thread* left_ = nullptr;
  after left_by_ = after::parked;
  // Owner writes, others read: threads of others sum them up.
  base::atomic<std::uint64_t> started_{0};
  base::atomic<std::uint64_t> finished_{0};
  // Guarded by the engine's lock.
  core::thread* record_ = nullptr;  // null until its thread runs
  carrier* next_idle_ = nullptr;
  bool is_idle_ = false;
  bool in_use_ = false;
  bool is_blocked_ = false;       // in a wait or a blocking call of a task
  std::uint32_t seen_turns_ = 0;  // by the watch
  // Written under the engine's lock: it has not come back from a task for so long that it does not
  // count any more.
  base::atomic<bool> written_off_{false};
  // The watch asks it to look at the queue for all and at the clock: its turns are long, and many
  // would pass until it does.
  base::atomic<bool> looks_{false};
  // Set by whoever wakes the idle carrier, before the unpark.
  base::atomic<bool> called_{false};

  queue::next_slot<core::thread> woken_;
  queue::steal_ring<core::thread, ready_max> ready_;
  queue::fork_deque<void, forks_max> forks_;
};

// The carrier that the caller runs on: for code of tasks only.
inline carrier& current_carrier() noexcept {
  return *core::current_thread_or_null()->scheduler->carrier;
}
// The same from anywhere; null when it is none.
inline carrier* current_carrier_or_null() noexcept {
  core::thread* const self = core::current_thread_or_null();
  return self != nullptr ? self->scheduler->carrier : nullptr;
}

}  // namespace treadle::tasks
