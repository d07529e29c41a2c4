#include "treadle/task/clock.hpp"

#include <utility>

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
    // relaxed, both: under the lock; who reads it without is not the only one to look
    if (until.nanoseconds() < earliest_.load(base::relaxed)) {
      earliest_.store(until.nanoseconds(), base::relaxed);
    }
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

// How many of `out` are to be unparked.
std::size_t clock::pop_expired(expired& out, bool sleeps_next) noexcept {
  const base::guard hold(lock_);
  const std::int64_t now = base::monotonic_now();
  std::size_t count = 0;
  base::timer_node* node = nullptr;
  while (count < at_once && (node = wheel_.pop_expired(now)) != nullptr) {
    --armed_;
    auto& due = static_cast<timer&>(*node);
    if (core::thread* const woken = due.expire(due)) out[count++] = woken;
  }
  const std::int64_t next = wheel_.earliest();
  earliest_.store(next, base::relaxed);  // relaxed: under the lock
  if (sleeps_next) sleeps_until_ = next;
  return count;
}

bool clock::fire() noexcept {
  const std::int64_t earliest = earliest_.load(base::relaxed);  // relaxed: the thread looks, too
  if (earliest == never || earliest > base::monotonic_now()) return false;
  expired due;
  const std::size_t count = pop_expired(due, false);
  for (std::size_t i = 0; i < count; ++i) core::scheduler_port::unpark(*due[i]);
  return count != 0;
}

bool clock::is_over() noexcept {
  const base::guard hold(lock_);
  if (!ends_ || armed_ != 0) return false;
  keeper_ = nullptr;
  is_open_.store(false, base::relaxed);  // relaxed: open() looks again under the lock
  return true;
}

void clock::keep() noexcept {
  expired due;
  {
    const base::guard hold(lock_);
    keeper_ = &core::current_thread();
  }
  std::size_t woken = 0;
  while (!is_over()) {
    const std::int64_t now = base::monotonic_now();
    const std::size_t count = pop_expired(due, true);
    for (std::size_t i = 0; i < count; ++i) core::scheduler_port::unpark(*due[i]);
    woken += count;
    std::int64_t next;
    std::size_t armed;
    {
      const base::guard hold(lock_);
      next = sleeps_until_;
      armed = armed_;
    }
    if (count == at_once) {
      home_.yield();
    } else if (next == never) {
      static_cast<void>(home_.park(core::wait_reason::runtime, base::deadline::never()));
    } else {
      next = crowd_.gets_up(now, next, std::exchange(woken, 0), [armed] { return armed; });
      static_cast<void>(home_.park(core::wait_reason::sleep, base::deadline::at(next)));
    }
  }
}

}  // namespace treadle::tasks
