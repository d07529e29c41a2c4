// How fiber_scheduler goes from one thread to the next. Included by fiber_scheduler.hpp only.
//
// Each place that switches says what it expects of who leaves to it (`expected`), so that the usual
// case is a branch that is foretold; the others are out of line. After a jump the thread may be on
// another worker: what is of the worker is read anew.
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

template <class Model>
[[gnu::always_inline]] inline context::resume_point fiber_scheduler<Model>::prepare(
    current_access here, worker& on, thread& next) noexcept {
  if (!next.bound) [[unlikely]]
    memory_.bind(processor_of(on), next);
  return prepare_bound(here, next);
}

template <class Model>
[[gnu::always_inline]] inline context::resume_point fiber_scheduler<Model>::prepare_bound(
    current_access here, thread& next) noexcept {
  transition(next, thread_state::ready, thread_state::running, wait_reason::none);
  here.set_self(&next);
  return next.resume;
}

// What the next one finds to do for `self`, which has stopped. Nothing where nobody but this worker
// could run `self`, for then it is done already, though the context is not yet saved.
template <class Model>
[[gnu::always_inline]] inline std::uintptr_t fiber_scheduler<Model>::stop_running(
    worker& on, thread& self, after action) noexcept {
  if (!model().is_alone()) [[unlikely]]
    return tag(self, action);
  finish_switch(on, &self, action);
  return static_cast<std::uintptr_t>(after::nothing);
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::switch_away(current_access here,
                                                                       worker& on, thread& self,
                                                                       thread* next,
                                                                       std::uintptr_t message,
                                                                       after expected) noexcept {
  if (!is_calm(here, on)) [[unlikely]]
    return switch_with_baggage(on, self, next, message, expected);
  switch_calm(here, on, self, next, message, expected);
}

// The thread stops amid a throw, a handler or a read section. Everybody else finds a calm worker.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::switch_with_baggage(worker& on, thread& self,
                                                                   thread* next,
                                                                   std::uintptr_t message,
                                                                   after expected) noexcept {
  move_read_sections(self);
  const exception_globals kept = *on.exceptions;
  *on.exceptions = exception_globals{};
  switch_calm(current_access(), on, self, next, message, expected);
  *current_worker_or_null()->exceptions = kept;
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::switch_calm(current_access here,
                                                                       worker& on, thread& self,
                                                                       thread* next,
                                                                       std::uintptr_t message,
                                                                       after expected) noexcept {
  const int kept_errno = *on.errno_address;
  context::fiber_note& note = self.body->note;
  context::resume_point there;
  if (next == nullptr) {
    there = on.idle;
    here.set_self(nullptr);
    context::leave(note, on.idle_note);
  } else {
    there = prepare(here, on, *next);
    context::leave(note, next->body->note);
  }
  message = context::jump(self.resume, there, message);
  // From here on perhaps on another worker.
  context::arrive(note);
  worker& now_on = *current_worker_or_null();
  after_switch(now_on, message, expected);
  *now_on.errno_address = kept_errno;
  leave(now_on);
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::switch_for_ever(
    worker& on, thread* next, std::uintptr_t message) noexcept {
  const current_access here;
  context::resume_point there;
  if (next == nullptr) {
    there = on.idle;
    here.set_self(nullptr);
    context::leave_for_ever(on.idle_note);
  } else {
    there = prepare(here, on, *next);
    context::leave_for_ever(next->body->note);
  }
  context::jump_for_ever(there, message);
}

template <class Model>
void fiber_scheduler<Model>::run(worker& on, thread& next) noexcept {
  const context::resume_point there = prepare(current_access(), on, next);
  context::leave(on.idle_note, next.body->note);
  const std::uintptr_t message =
      context::jump(on.idle, there, static_cast<std::uintptr_t>(after::nothing));
  context::arrive(on.idle_note);
  if constexpr (Model::processors_move) {
    if (!model().has_processor(on)) [[unlikely]]
      return after_switch_as_guest(on, message);
  }
  after_switch(on, message, after::parked);
}

// What the one does who left is known mostly: that case is laid out straight, and the others are
// out of line.
template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::after_switch(worker& on,
                                                                        std::uintptr_t message,
                                                                        after expected) noexcept {
  if (message == static_cast<std::uintptr_t>(after::nothing)) [[likely]]
    return;
  const auto action = static_cast<after>(message & action_mask);
  if (action == expected) [[likely]] {
    finish_switch(on, reinterpret_cast<thread*>(message & ~action_mask), expected);
  } else {
    after_any_switch(on, message);
  }
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::after_any_switch(worker& on,
                                                                std::uintptr_t message) noexcept {
  finish_switch(on, reinterpret_cast<thread*>(message & ~action_mask),
                static_cast<after>(message & action_mask));
}

template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::finish_switch(worker& on, thread* left,
                                                                         after action) noexcept {
  switch (action) {
    case after::nothing:
      return;
    case after::parked:
      if (left->permit.publish_parked()) [[likely]]
        return;
      ready_again(on, *left);
      return;
    case after::yielded:
      return model().ready_last(on, *left);
    case after::forked:
      return publish_parent(on, *left);
    case after::ended:
      return finish(on, *left);
    case after::ended_joined:
    case after::ended_child:
      memory_.unbind(processor_of(on), *left);
      return retire(on, processor_of(on), *left, action);
  }
}

// An unpark came between the decision to park and the switch.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::ready_again(worker& on, thread& left) noexcept {
  transition(left, thread_state::parked, thread_state::ready, wait_reason::none);
  model().ready(on, left);
}

// Lets thieves have the rest of who forked a child.
template <class Model>
[[gnu::always_inline]] inline void fiber_scheduler<Model>::publish_parent(worker& on,
                                                                          thread& parent) noexcept {
  if (!model().push_parent(on, parent)) [[unlikely]]
    model().ready_last(on, parent);
}

}  // namespace treadle::core
