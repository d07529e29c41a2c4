// The member functions of fiber_scheduler. Included by fiber_scheduler.hpp only.
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

// The case in which nothing is short and nobody else is about: without a call, so that no register
// need be saved. Null in all others.
template <class Model>
[[gnu::always_inline]] inline thread* fiber_scheduler<Model>::spawn_at_once(
    worker& on, closure_function entry, small_closure closure) noexcept {
  thread* made = nullptr;
  const bool ours = enter_at_once(on);
  // Read once: to the compiler every atomic access may change it.
  fiber_processor& here = processor_of(on);
  if (ours && model().has_room(here)) [[likely]]
    made = memory_.create_at_once(on, here);
  if (made != nullptr) [[likely]] {
    made->scheduler = this;
    made->begin_with(entry, closure);
    transition(*made, thread_state::fresh, thread_state::ready, wait_reason::started);
    here.started.add(1);
    model().put_last(here, *made);
  }
  leave(on);
  return made;
}

// What `make` says, 0 or an errno; where memory is short once more, when the processors have given
// up what they keep for threads to come. A busy one is not waited for for long.
template <class Model>
template <class Make>
int fiber_scheduler<Model>::make_with_recall(fiber_processor* processor, Make&& make) noexcept {
  const int error = make();
  if (error == 0) [[likely]]
    return 0;
  // Guess: who is idle is awake by then, also on a machine with other work.
  constexpr std::int64_t patience_nanoseconds = 10'000'000;
  memory_.recall();
  if (processor != nullptr) memory_.give_up_surplus(*processor);
  model().await_recall(base::monotonic_now() + patience_nanoseconds);
  return make();
}

template <class Model>
[[gnu::noinline]] thread* fiber_scheduler<Model>::spawn_slowly(closure_function entry,
                                                               small_closure closure,
                                                               int& error) noexcept {
  worker& on = core::current_worker();
  const stay here(*this, on);
  thread* made = nullptr;
  error = make_with_recall(
      here.processor, [&]() noexcept { return memory_.create_plain(on, here.processor, made); });
  if (error != 0) return nullptr;
  made->scheduler = this;
  made->begin_with(entry, closure);
  enqueue(on, here.processor, *made);
  return made;
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

template <class Model>
wake fiber_scheduler<Model>::park(wait_reason why, deadline until) noexcept {
  thread& self = *current_thread_or_null();
  if (self.permit.consume()) return wake::token;
  if (!until.is_never()) return park_until(why, until);
  park_here(self, why, after::parked);
  return wake::token;
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
void fiber_scheduler<Model>::yield() noexcept {
  const current_access here;
  worker& on = *here.on();
  if (!enter(on)) [[unlikely]]
    return move_to_processor(on);
  if (!model().is_plain()) [[unlikely]]
    return yield_anyhow(on);
  fiber_processor& mine = processor_of(on);
  thread* next = model().pick_plain(mine);
  if (next == nullptr && !model().wants_idle(on)) return leave(on);
  thread& self = *here.self();
  transition(self, thread_state::running, thread_state::ready, wait_reason::yield);
  model().queue_plain(mine, self);
  switch_away(here, on, self, next, static_cast<std::uintptr_t>(after::nothing), after::yielded);
}

// The same with thieves or levels about.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::yield_anyhow(worker& on) noexcept {
  if (levels_in_use.load(base::relaxed)) [[unlikely]]  // relaxed: see there
    return yield_by_level(on);
  thread* next = model().pick(processor_of(on));
  if (next == nullptr && !model().wants_idle(on)) return leave(on);
  thread& self = *current_thread_or_null();
  transition(self, thread_state::running, thread_state::ready, wait_reason::yield);
  switch_away(current_access(), on, self, next, stop_running(on, self, after::yielded),
              after::yielded);
}

// The same where threads may be of several levels: who is not a usual one gives way to its like.
template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::yield_by_level(worker& on) noexcept {
  thread& self = *current_thread_or_null();
  const bool levelled = self.is_levelled();
  if (levelled && keeps_turn(on, self)) return leave(on);
  thread* next = model().pick(processor_of(on));
  if (next == nullptr && levelled) next = levels_.pop(thread_levels::all << queue_level(self));
  if (next == nullptr && !model().wants_idle(on)) return leave(on);
  transition(self, thread_state::running, thread_state::ready, wait_reason::yield);
  switch_away(current_access(), on, self, next, stop_running(on, self, after::yielded),
              after::yielded);
}

// Whether who yields is above all others, and it is not the others' turn: it would be next again.
template <class Model>
[[gnu::noinline]] bool fiber_scheduler<Model>::keeps_turn(worker& on, const thread& self) noexcept {
  fiber_processor& mine = processor_of(on);
  const unsigned level = queue_level(self);
  const unsigned turn = mine.ticks.load(base::relaxed) + 1;  // relaxed: our own; pick() counts it
  if (level < thread_levels::middle || turn % turns_share == 0) return false;
  if ((levels_.occupied() >> level) != 0) return false;
  static_cast<void>(mine.tick());
  return true;
}

template <class Model>
int fiber_scheduler<Model>::fork(thread& child, fork_point& point) noexcept {
  child.forked = true;
  child.body->fork = &point;
  inherit_level(child);
  worker& on = core::current_worker();
  if (on.scheduler != this || !enter(on)) [[unlikely]] {
    if (on.scheduler == this) leave(on);
    ++point.left_behind;
    return start(child);
  }
  thread& self = *current_thread_or_null();
  processor_of(on).started.add(1);
  point.youngest = &child;
  transition(child, thread_state::fresh, thread_state::ready, wait_reason::started);
  transition(self, thread_state::running, thread_state::ready, wait_reason::scope);
  switch_away(current_access(), on, self, &child, tag(self, after::forked), after::nothing);
  if (point.youngest != nullptr) leave_behind(point);
  return 0;
}

template <class Model>
int fiber_scheduler<Model>::spawn_child(closure_function entry, const child_closure& closure,
                                        fork_point& point) noexcept {
  worker& on = core::current_worker();
  const current_access here;
  thread* made = nullptr;
  if (on.scheduler == this && is_calm(here, on)) [[likely]] {
    if (enter(on)) [[likely]]
      made = memory_.create_child(on, processor_of(on));
    if (made == nullptr) [[unlikely]]
      leave(on);
  }
  if (made == nullptr) [[unlikely]]
    return scheduler_port::spawn_child(entry, closure, point);
  thread& self = *here.self();
  made->scheduler = this;
  thread_body& body = *made->body;
  body.entry = entry;
  closure.copy_to(body.inline_closure);
  body.fork = &point;
  if (levels_in_use.load(base::relaxed)) [[unlikely]]  // relaxed: see there
    inherit_level(*made);
  point.youngest = made;
  processor_of(on).started.add(1);
  transition(*made, thread_state::fresh, thread_state::running, wait_reason::none);
  transition(self, thread_state::running, thread_state::ready, wait_reason::scope);
  const int kept_errno = *on.errno_address;
  context::fiber_note& note = self.body->note;
  here.set_self(made);
  context::leave(note, body.note);
  const std::uintptr_t message =
      context::jump_to_new(self.resume, reinterpret_cast<std::byte*>(&body),
                           &fiber_scheduler::child_main, reinterpret_cast<std::uintptr_t>(&self));
  // From here on perhaps on another worker.
  context::arrive(note);
  worker& now_on = *current_worker_or_null();
  after_switch(now_on, message, after::nothing);
  *now_on.errno_address = kept_errno;
  leave(now_on);
  if (point.youngest != nullptr) [[unlikely]]
    leave_behind(point);
  return 0;
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
