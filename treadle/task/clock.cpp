#include "treadle/task/clock.hpp"

#include "treadle/task/own_thread.hpp"

namespace treadle::tasks {
namespace {

constexpr std::int64_t never = queue::timer_wheel::no_deadline;

}  // namespace

int clock::open() noexcept {
  if (is_open_.load(base::acquire)) return 0;  // pairs with the store below
  {
    const base::guard hold(lock_);
    // Whoever starts it will see what others arm meanwhile.
    if (is_starting_ || is_open_.load(base::relaxed)) return 0;  // relaxed: under the lock
    is_starting_ = true;
  }
  const int error = start_own_thread<&clock::keep>(home_, "clock of tasks", *this);
  const base::guard hold(lock_);
  is_starting_ = false;
  if (error == 0) {
    is_open_.store(true, base::release);  // pairs with the look above
    ends_ = false;
  }
  return error;
}

void clock::end() noexcept {
  core::thread* keeper = nullptr;
  {
    const base::guard hold(lock_);
    ends_ = true;
    keeper = keeper_;
  }
  if (keeper != nullptr) core::scheduler_port::unpark(*keeper);
}

void clock::arm(timer& node, base::deadline until) noexcept {
  const std::int64_t now = base::monotonic_now();
  // The thread may have ended since open(), when all other tasks had.
  while (!try_to_arm(node, until, now)) {
    TREADLE_CHECK(open() == 0, "no memory for the clock of tasks");
  }
}

// False when there is no thread.
bool clock::try_to_arm(timer& node, base::deadline until, std::int64_t now) noexcept {
  core::thread* late = nullptr;
  {
    const base::guard hold(lock_);
    if (!is_starting_ && !is_open_.load(base::relaxed)) return false;  // relaxed: under the lock
    node.deadline = until.nanoseconds();
    wheel_.insert(&node, now);
    ++armed_;
    if (until.nanoseconds() < sleeps_until_) {
      sleeps_until_ = until.nanoseconds();
      late = keeper_;
    }
  }
  if (late != nullptr) core::scheduler_port::unpark(*late);
  return true;
}

void clock::disarm(timer& node) noexcept {
  const base::guard hold(lock_);
  if (node.place == base::timer_node::unqueued) return;
  wheel_.remove(&node);
  --armed_;
}

// How many of `out` are to be unparked; `next` is the earliest deadline that is left.
std::size_t clock::pop_expired(core::thread** out, std::size_t room, std::int64_t& next) noexcept {
  const base::guard hold(lock_);
  const std::int64_t now = base::monotonic_now();
  std::size_t count = 0;
  base::timer_node* node = nullptr;
  while (count < room && (node = wheel_.pop_expired(now)) != nullptr) {
    --armed_;
    auto& due = static_cast<timer&>(*node);
    if (core::thread* const expired = due.expire(due)) out[count++] = expired;
  }
  sleeps_until_ = next = wheel_.earliest();
  return count;
}

bool clock::is_over() noexcept {
  const base::guard hold(lock_);
  if (!ends_ || armed_ != 0) return false;
  keeper_ = nullptr;
  is_open_.store(false, base::relaxed);  // relaxed: open() looks again under the lock
  return true;
}

void clock::keep() noexcept {
  // Guess: as for the processors' timers.
  constexpr std::size_t at_once = 32;
  core::thread* due[at_once];
  {
    const base::guard hold(lock_);
    keeper_ = &core::current_thread();
  }
  while (!is_over()) {
    std::int64_t next = never;
    const std::size_t count = pop_expired(due, at_once, next);
    for (std::size_t i = 0; i < count; ++i) core::scheduler_port::unpark(*due[i]);
    if (count == at_once) {
      home_.yield();
    } else if (next == never) {
      static_cast<void>(home_.park(core::wait_reason::runtime, base::deadline::never()));
    } else {
      static_cast<void>(home_.park(core::wait_reason::sleep, base::deadline::at(next)));
    }
  }
}

}  // namespace treadle::tasks
