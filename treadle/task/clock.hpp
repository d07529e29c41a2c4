// The timers of tasks: a wheel. Who looks at it, and when, is the engine's (engine_clock.cpp).
//
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
#include "treadle/sched/scheduler.hpp"

namespace treadle::tasks {

struct timer : base::timer_node {
  // With the clock's lock held: whom to unpark now, or null. Takes no lock that is held anywhere
  // while a timer is armed or disarmed.
  core::thread* (*expire)(timer& self) noexcept = nullptr;
};

class clock {
 public:
  static constexpr std::int64_t never = queue::timer_wheel::no_deadline;

  // The deadline may have passed. By a task: its carrier looks here before it rests.
  void arm(timer& node, base::deadline until) noexcept;
  // When it returns, `expire` is not running and will not run.
  void disarm(timer& node) noexcept;

  // Wakes those whose time has come, about `most` at most; how many. Any thread of the runtime.
  std::size_t fire(std::int64_t now, std::size_t most) noexcept;

  // No timer is due before it. From anywhere a guess; exact enough for who has armed one before.
  std::int64_t earliest() const noexcept { return earliest_.load(base::relaxed); }
  // A guess.
  std::size_t armed_about() const noexcept { return armed_.load(base::relaxed); }

 private:
  // Guess, as for the processors' timers: so many are taken out with the lock held.
  static constexpr std::size_t at_once = 32;
  using expired = core::thread* [at_once];
  std::size_t pop_expired(expired& out, std::int64_t now) noexcept;
  void count(std::ptrdiff_t change) noexcept;

  base::spin_lock lock_;
  // Atomic, written under lock_.
  base::atomic<std::int64_t> earliest_{never};
  base::atomic<std::size_t> armed_{0};
  // Guarded by lock_.
  queue::timer_wheel wheel_;
};

}  // namespace treadle::tasks
