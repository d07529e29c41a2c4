// The timers of tasks: a wheel, and one thread of the runtime that sleeps until the earliest.
//
// Carriers at work look at the wheel themselves, now and then and before they rest: the thread
// would wait for its turn behind them, and they for what it wakes.
// A task that waits with a deadline brings a node in its frame. When the time has come the clock
// calls the node's `expire` with the lock held, which takes the task out of what it waits for and
// says whether it did; then the task is unparked, without the lock. A task disarms its node before
// its frame may go, and so waits for an `expire` that is under way.
// Rejected: the processors' timers (their nodes belong to stacks, and a wake-up there is a thread's
// business); one wheel a carrier (the earliest deadline of all would need another structure).
#pragma once

#include <cstdint>

#include "treadle/base/spin_lock.hpp"
#include "treadle/queue/timer_wheel.hpp"
#include "treadle/sched/crowd.hpp"
#include "treadle/sched/scheduler.hpp"

namespace treadle::tasks {

struct timer : base::timer_node {
  // With the clock's lock held: whom to unpark now, or null. Takes no lock that is held anywhere
  // while a timer is armed or disarmed.
  core::thread* (*expire)(timer& self) noexcept = nullptr;
};

class clock {
 public:
  explicit clock(core::scheduler_port& home) noexcept : home_(home) {}

  // Starts the thread, once: 0 or an errno. From a thread or a task.
  [[nodiscard]] int open() noexcept;
  // It ends when nothing is armed any more; for when no task is left.
  void end() noexcept;

  // After open(). The deadline may have passed.
  void arm(timer& node, base::deadline until) noexcept;
  // When it returns, `expire` is not running and will not run.
  void disarm(timer& node) noexcept;

  // From a carrier between two tasks: wakes some of those whose time has come. False when there are
  // none.
  bool fire() noexcept;

 private:
  void keep() noexcept;
  bool try_to_arm(timer& node, base::deadline until, std::int64_t now) noexcept;
  // Guess: as for the processors' timers.
  static constexpr std::size_t at_once = 32;
  using expired = core::thread* [at_once];
  std::size_t pop_expired(expired& out, bool sleeps_next) noexcept;
  bool is_over() noexcept;

  // Fixed after start.
  core::scheduler_port& home_;
  core::crowd crowd_;  // the thread's own
  // Atomic: a thread was started and has not ended.
  base::atomic<bool> is_open_{false};

  base::spin_lock lock_;
  // Atomic, written under lock_: no timer is due before it.
  base::atomic<std::int64_t> earliest_{queue::timer_wheel::no_deadline};
  // Guarded by lock_.
  core::thread* keeper_ = nullptr;
  std::int64_t sleeps_until_ = 0;  // the thread, at most
  std::size_t armed_ = 0;
  bool ends_ = false;
  bool is_starting_ = false;
  queue::timer_wheel wheel_;
};

}  // namespace treadle::tasks
