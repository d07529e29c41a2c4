// The first and the last that a thread does, on fiber_scheduler. Included by fiber_scheduler.hpp
// only.
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

// The end of a thread that nobody was parked in join for.
template <class Model>
void fiber_scheduler<Model>::finish(worker& on, thread& ended) noexcept {
  processor_of(on).finished.add(1);
  memory_.unbind(processor_of(on), ended);
  publish_end(on, ended);
}

// The end of a thread that has handed over to who waited for it.
template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::retire(worker& on, fiber_processor& here,
                                                                  thread& ended,
                                                                  after action) noexcept {
  here.finished.add(1);
  transition(ended, thread_state::running, thread_state::finished, wait_reason::exited);
  if (action == after::ended_joined) {
    ended.completion.end_for_owned();
  } else {
    record_pool::release(on.records, ended);
  }
}

template <class Model>
void fiber_scheduler<Model>::publish_end(worker& on, thread& ended) noexcept {
  transition(ended, thread_state::running, thread_state::finished, wait_reason::exited);
  ended.completion.end([&]() noexcept { record_pool::release(on.records, ended); },
                       [this](thread& lender) noexcept { make_ready(lender); },
                       [](thread& joiner) noexcept { scheduler_port::unpark(joiner); });
}

// Whom the end of a scope's child hands over to, who has taken `popped` from the deque; null when
// any ready thread will do.
template <class Model>
thread* fiber_scheduler<Model>::end_of_child(thread& self, thread* popped) noexcept {
  fork_point& point = *self.body->fork;
  thread* parent = point.parent;
  // acq_rel: what all children did is released to the parent through this counter
  if (point.outstanding.fetch_sub(1, base::acq_rel) == 1) {
    // The fork point may be gone now, and the parent's record another thread's: only a claim makes
    // it safe to look at.
    if (popped == nullptr && parent->permit.claim_parked()) {
      if (parent->scheduler == this) {
        transition(*parent, thread_state::parked, thread_state::ready, wait_reason::scope);
        return parent;
      }
      parent->scheduler->make_ready(*parent);
    } else {
      scheduler_port::unpark(*parent);
    }
  }
  return popped;
}

// The ends are inlined into the functions that every thread starts with, and what is too long is
// jumped to, not called: a thread that ends has made no call that it does not return from, so the
// return predictor is right for the thread that goes on (12 ns a miss, bench spawn_join). On the
// straight path nothing lives over a call, so that no register need be saved first.

// The end of a thread that hands over to `next`. Its stack and record are free before it has left
// them, for nobody but this worker can take them, and the worker's next step is off the stack.
template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::end_for(current_access here, worker& on,
                                                                   thread& self, thread& next,
                                                                   after action) noexcept {
  fiber_processor& mine = processor_of(on);
  if (!memory_.unbind_running(mine, self)) [[unlikely]]
    end_slowly(on, next, tag(self, action));
  retire(on, mine, self, action);
  const context::resume_point there = prepare_bound(here, next);
  context::leave_for_ever(next.body->note);
  context::jump_for_ever(there, static_cast<std::uintptr_t>(after::nothing));
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::end_slowly(worker& on, thread& next,
                                                          std::uintptr_t message) noexcept {
  switch_for_ever(on, &next, message);
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::end_child(current_access here,
                                                                     thread& self) noexcept {
  worker& on = *here.on();
  if (!enter_at_once(on)) [[unlikely]]
    end_child_as_guest_or_later(on, self);
  end_child_inside(here, on, self);
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::end_child_inside(current_access here,
                                                                            worker& on,
                                                                            thread& self) noexcept {
  fork_point& point = *self.body->fork;
  thread* popped = model().pop_parent(on);
  // Whoever holds the parent may touch the fork point: the parent is not running.
  if (popped == point.parent && point.youngest == &self) [[likely]] {
    point.youngest = nullptr;
    end_for(here, on, self, *popped, after::ended_child);
  }
  end_child_slowly(on, self, popped);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::end_child_as_guest_or_later(worker& on,
                                                                           thread& self) noexcept {
  if (!enter(on)) end_as_guest(on, self);
  end_child_inside(current_access(), on, self);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::end_child_slowly(worker& on, thread& self,
                                                                thread* popped) noexcept {
  thread* next = end_of_child(self, popped);
  if (next == nullptr) next = model().pick(processor_of(on));
  switch_for_ever(on, next, tag(self, after::ended_child));
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::end_thread(current_access here,
                                                                      thread& self) noexcept {
  worker& on = *here.on();
  if (self.forked) [[unlikely]]
    end_late_child();
  if (!enter_at_once(on)) [[unlikely]]
    end_as_guest_or_later(on, self);
  const completion::seen waiting = self.completion.waiting();
  if (!completion::has_lender(waiting)) [[unlikely]]
    return end_for_anybody(on, self, waiting);
  thread& joiner = completion::lender_in(waiting);
  transition(joiner, thread_state::parked, thread_state::ready, wait_reason::join);
  end_for(here, on, self, joiner, after::ended_joined);
}

// A child that has been left behind by its parent.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::end_late_child() noexcept {
  const current_access here;
  end_child(here, *here.self());
}

// The worker's processor is not simply its own.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::end_as_guest_or_later(worker& on,
                                                                     thread& self) noexcept {
  if (!enter(on)) end_as_guest(on, self);
  end_for_anybody(on, self, self.completion.waiting());
  __builtin_unreachable();
}

// `waiting` is what `completion` was a moment ago. noipa: a compiler that sees that this does not
// return calls it, where it should jump. Clang has no such attribute, and looks into it.
#if defined(__clang__)
#define TREADLE_NOIPA gnu::noinline
#else
#define TREADLE_NOIPA gnu::noipa
#endif
template <class Model>
[[TREADLE_NOIPA]] void fiber_scheduler<Model>::end_for_anybody(worker& on, thread& self,
                                                               completion::seen waiting) noexcept {
  if (thread* const joiner = completion::claimable_in(waiting)) {
    if (joiner->scheduler == this && joiner->permit.claim_parked()) {
      transition(*joiner, thread_state::parked, thread_state::ready, wait_reason::join);
      end_for(current_access(), on, self, *joiner, after::ended_joined);
    }
  }
  switch_for_ever(on, model().pick(processor_of(on)), tag(self, after::ended));
}
#undef TREADLE_NOIPA

// Of a thread whose function has returned: values to destroy, or read sections still open (one that
// took a section along is watched). One test for all.
template <class Model>
[[gnu::always_inline]] inline bool fiber_scheduler<Model>::leaves_something(
    current_access here, const thread& self) noexcept {
  return here.with_read_sections(reinterpret_cast<std::uintptr_t>(self.body->specific.destroy)) !=
         0;
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::clear_up(thread& self) {
  if (self.body->specific.destroy != nullptr) {
    finish_specific(self);
  }
  end_read_sections(self);
}

template <class Model>
void fiber_scheduler<Model>::thread_main(std::uintptr_t message) {
  const current_access here;
  context::arrive(here.self()->body->note);
  if (message != static_cast<std::uintptr_t>(after::nothing)) [[unlikely]]
    return start_slowly(message);
  run_thread(here);
}

// Who was left to start this one has something left to do.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::start_slowly(std::uintptr_t message) {
  static_cast<fiber_scheduler*>(current_thread_or_null()->scheduler)
      ->after_any_switch(*current_worker_or_null(), message);
  run_thread(current_access());
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::run_thread(current_access here) {
  const thread_body& body = *here.self()->body;
  worker& on = *here.on();
  *on.errno_address = 0;
  leave(on);
  body.entry(body.closure);
  const current_access later;
  thread& ended = *later.self();
  if (leaves_something(later, ended)) [[unlikely]]
    return clear_up_and_end();
  return static_cast<fiber_scheduler*>(ended.scheduler)->end_thread(later, ended);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::clear_up_and_end() {
  thread& self = *current_thread_or_null();
  clear_up(self);
  static_cast<fiber_scheduler*>(self.scheduler)->end_thread(current_access(), self);
}

// What a child starts with that runs before its parent goes on.
template <class Model>
void fiber_scheduler<Model>::child_main(std::uintptr_t parent) {
  const current_access here;
  thread* self = here.self();
  worker* on = here.on();
  auto* scheduler = static_cast<fiber_scheduler*>(self->scheduler);
  context::arrive(self->body->note);
  scheduler->publish_parent(*on, *reinterpret_cast<thread*>(parent));
  *on->errno_address = 0;
  leave(*on);
  self->body->entry(&self->body->inline_closure);
  const current_access later;
  thread& ended = *later.self();
  if (leaves_something(later, ended)) [[unlikely]]
    clear_up_and_end_child();
  static_cast<fiber_scheduler*>(ended.scheduler)->end_child(later, ended);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::clear_up_and_end_child() {
  thread& self = *current_thread_or_null();
  clear_up(self);
  static_cast<fiber_scheduler*>(self.scheduler)->end_child(current_access(), self);
}

}  // namespace treadle::core
