#include "treadle/task/clock.hpp"

namespace treadle::tasks {

// With the lock held.
void clock::count(std::ptrdiff_t change) noexcept {
  // relaxed, both: under the lock; who reads it without only guesses
  armed_.store(armed_.load(base::relaxed) + static_cast<std::size_t>(change), base::relaxed);
}

void clock::arm(timer& node, base::deadline until) noexcept {
  const std::int64_t now = base::monotonic_now();
  const base::guard hold(lock_);
  node.deadline = until.nanoseconds();
  wheel_.insert(&node, now);
  count(1);
  // relaxed, both: under the lock; the caller's carrier, or who is called in its place, looks later
  if (until.nanoseconds() < earliest_.load(base::relaxed)) {
    earliest_.store(until.nanoseconds(), base::relaxed);
  }
}

void clock::disarm(timer& node) noexcept {
  const base::guard hold(lock_);
  if (node.place == base::timer_node::unqueued) return;
  wheel_.remove(&node);
  count(-1);
}

// How many of `out` are to be unparked.
std::size_t clock::pop_expired(expired& out, std::int64_t now) noexcept {
  const base::guard hold(lock_);
  std::size_t woken = 0;
  base::timer_node* node = nullptr;
  while (woken < at_once && (node = wheel_.pop_expired(now)) != nullptr) {
    count(-1);
    auto& due = static_cast<timer&>(*node);
    if (core::thread* const one = due.expire(due)) out[woken++] = one;
  }
  earliest_.store(wheel_.earliest(), base::relaxed);  // relaxed: under the lock
  return woken;
}

std::size_t clock::fire(std::int64_t now, std::size_t most) noexcept {
  expired due;
  std::size_t woken = 0;
  while (earliest() <= now && woken < most) {
    const std::size_t some = pop_expired(due, now);
    for (std::size_t i = 0; i < some; ++i) core::scheduler_port::unpark(*due[i]);
    woken += some;
  }
  return woken;
}

}  // namespace treadle::tasks
