// How threads of fiber_scheduler come into being: to be queued (spawn), or run at once in place of
// their parent, which thieves may have meanwhile (fork-join). Included by fiber_scheduler.hpp only.
//
// The usual case takes what it needs from its processor, without a call; where something is short,
// or somebody else is about, the slow one asks the memory of all.
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

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

}  // namespace treadle::core
