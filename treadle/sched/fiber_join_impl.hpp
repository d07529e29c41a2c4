// How a thread of fiber_scheduler waits for another's end. Included by fiber_scheduler.hpp only.
//
// With one processor, and both on it, the joiner lends itself to the one that it waits for, which
// then goes straight on with it (decision 0008). Else it waits for a token.
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

template <class Model>
void fiber_scheduler<Model>::join(thread& which) noexcept {
  if (!model().is_plain() || which.scheduler != this) [[unlikely]]
    return join_by_permit(which);
  const current_access here;
  worker* on = here.on();
  if (!has_ended(which)) {
    if (!enter_at_once(*on)) [[unlikely]] {
      leave(*on);
      return join_by_permit(which);
    }
    on = &lend_to(here, *on, *here.self(), which);
  }
  record_pool::release(on->records, which);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::join_by_permit(thread& which) noexcept {
  thread& self = *current_thread_or_null();
  if (!has_ended(which) && which.completion.become_joiner(self)) {
    if (!self.permit.consume()) park_here(self, wait_reason::join, after::nothing);
    while (!has_ended(which)) static_cast<void>(park(wait_reason::join, deadline::never()));
  }
  if (which.scheduler == this) [[likely]] {
    record_pool::release(current_worker_or_null()->records, which);
  } else {
    which.scheduler->reap(which);
  }
}

// On whose worker it goes on. With one processor a joiner needs no permit to wait by: whoever ends
// `which` makes it ready, and it cannot be resumed before it has left this processor. The worker is
// inside.
template <class Model>
[[gnu::always_inline]] inline worker& fiber_scheduler<Model>::lend_to(current_access here,
                                                                      worker& on, thread& self,
                                                                      thread& which) noexcept {
  fiber_processor& mine = processor_of(on);
  thread* next = model().pick_plain(mine);
  // Before the record is lent: a guest that ends makes it ready at once.
  transition(self, thread_state::running, thread_state::parked, wait_reason::join);
  if (!which.completion.lend(self)) [[unlikely]] {
    transition(self, thread_state::parked, thread_state::running, wait_reason::none);
    if (next != nullptr) model().ready(on, *next);
    leave(on);
    return on;
  }
  if (next != nullptr && !next->bound && is_calm(here, on)) [[likely]] {
    return start_from(here, on, self, *next);
  }
  switch_away(here, on, self, next, static_cast<std::uintptr_t>(after::nothing), after::nothing);
  return *current_worker_or_null();
}

// A switch to a thread that has not run yet, from a calm worker.
template <class Model>
[[gnu::always_inline]] inline worker& fiber_scheduler<Model>::start_from(current_access here,
                                                                         worker& on, thread& self,
                                                                         thread& fresh) noexcept {
  const int kept_errno = *on.errno_address;
  thread_body& body = memory_.bind_to_run(processor_of(on), fresh);
  transition(fresh, thread_state::ready, thread_state::running, wait_reason::none);
  here.set_self(&fresh);
  context::fiber_note& note = self.body->note;
  context::leave(note, body.note);
  const std::uintptr_t message = context::jump_to_new(
      self.resume, reinterpret_cast<std::byte*>(&body), &fiber_scheduler::thread_main,
      static_cast<std::uintptr_t>(after::nothing));
  // From here on perhaps on another worker.
  context::arrive(note);
  worker& now_on = *current_worker_or_null();
  after_switch(now_on, message, after::nothing);
  *now_on.errno_address = kept_errno;
  leave(now_on);
  return now_on;
}

}  // namespace treadle::core
