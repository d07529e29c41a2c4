// How threads of fiber_scheduler wait and are woken. Included by fiber_scheduler.hpp only.
//
// A wake-up is a token in the thread's permit (thread/token.hpp): it may come before the wait, and
// for no reason. Who parks publishes that after all else, and if the token is there by then it is
// made ready at once.
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

template <class Model>
wake fiber_scheduler<Model>::park(wait_reason why, deadline until) noexcept {
  thread& self = *current_thread_or_null();
  if (self.permit.consume()) return wake::token;
  if (!until.is_never()) return park_until(why, until);
  park_here(self, why, after::parked);
  return wake::token;
}

template <class Model>
void fiber_scheduler<Model>::park_until_set(thread& self, const base::atomic<bool>& flag,
                                            wait_reason why) noexcept {
  if (!self.permit.consume()) park_here(self, why, after::parked);
  if (!flag.load(base::acquire)) [[unlikely]]  // pairs with the setter's release
    park_again_until_set(flag, why);
}

// After a stray token. Apart, because a loop would keep more over the switch in the usual case.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::park_again_until_set(const base::atomic<bool>& flag,
                                                                    wait_reason why) noexcept {
  while (!flag.load(base::acquire)) static_cast<void>(park(why, deadline::never()));
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::park_here(thread& self, wait_reason why,
                                                                     after expected) noexcept {
  const current_access here;
  worker& on = *here.on();
  if (!enter(on)) [[unlikely]]
    return park_as_guest(on, self, why);
  transition(self, thread_state::running, thread_state::parked, why);
  thread* next;
  auto message = static_cast<std::uintptr_t>(after::nothing);
  if (model().is_plain()) [[likely]] {
    next = model().pick_plain(processor_of(on));
    if (!self.permit.publish_parked()) [[unlikely]]
      ready_again(on, self);
  } else {
    next = model().pick(processor_of(on));
    message = stop_running(on, self, after::parked);
  }
  // Here for both: in a function called for one of them it would be one return more to mispredict.
  switch_away(here, on, self, next, message, expected);
}

template <class Model>
[[gnu::noinline]] wake fiber_scheduler<Model>::park_until(wait_reason why,
                                                          deadline until) noexcept {
  thread& self = *current_thread_or_null();
  worker& on = *current_worker_or_null();
  const std::int64_t now = base::monotonic_now();
  if (until.nanoseconds() <= now) {
    // A scheduling point all the same: a loop of waits too short to begin must not keep the one
    // that it waits for from running.
    yield();
    return self.permit.consume() ? wake::token : wake::timed_out;
  }
  if (!enter(on)) [[unlikely]] {
    if constexpr (Model::processors_move) model().arm_as_guest(*self.body, until, now);
    park_as_guest(on, self, why);
  } else {
    processor_of(on).timers.arm(*self.body, until, now);
    transition(self, thread_state::running, thread_state::parked, why);
    thread* next = model().pick(processor_of(on));
    switch_away(current_access(), on, self, next, stop_running(on, self, after::parked),
                after::parked);
  }
  const bool fired = timer_queue::disarm(*self.body);
  // On a tie the token wins.
  return fired && !self.permit.consume() ? wake::timed_out : wake::token;
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::make_ready_slowly(thread& claimed) noexcept {
  worker* on = current_worker_or_null();
  if (on == nullptr) return bring_in(claimed);
  const stay here(*this, *on);
  if (here.processor != nullptr) {
    model().ready(*on, claimed);
  } else {
    bring_in(claimed);
  }
}

template <class Model>
std::size_t fiber_scheduler<Model>::fire(timer_queue& timers, std::int64_t now) noexcept {
  // Guess: many for one lock and one publication, few to keep others out for.
  constexpr std::size_t at_once = 32;
  thread* due[at_once];
  std::size_t woken = 0;
  while (timers.has_expired(now)) {
    const std::size_t count = timers.pop_expired(now, due, at_once);
    for (std::size_t i = 0; i < count; ++i) __builtin_prefetch(due[i]);
    for (std::size_t i = 0; i < count; ++i) scheduler_port::unpark(*due[i]);
    woken += count;
  }
  return woken;
}

}  // namespace treadle::core
