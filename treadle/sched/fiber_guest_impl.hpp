// What fiber_scheduler does on a worker whose processor has been taken. Included by
// fiber_scheduler.hpp only.
//
// Such a worker touches no processor's run queue, stacks or counters. A thread that stops on it
// always leaves to the idle context, which never needs a processor; the worker is spare then.
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::park_as_guest(worker& on, thread& self,
                                                             wait_reason why) noexcept {
  transition(self, thread_state::running, thread_state::parked, why);
  if constexpr (Model::processors_move) model().guest_parks();
  switch_away(current_access(), on, self, nullptr, tag(self, after::parked), after::parked);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::move_to_processor(worker& on) noexcept {
  thread& self = *current_thread_or_null();
  transition(self, thread_state::running, thread_state::ready, wait_reason::yield);
  switch_away(current_access(), on, self, nullptr, tag(self, after::yielded), after::yielded);
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::end_as_guest(worker& on, thread& self) noexcept {
  after action = after::ended;
  if (self.forked) {
    action = after::ended_child;
    if (thread* parent = end_of_child(self, nullptr)) model().ready_from_outside(*parent);
  }
  switch_for_ever(on, nullptr, tag(self, action));
}

template <class Model>
[[gnu::noinline]] void fiber_scheduler<Model>::after_switch_as_guest(
    worker& on, std::uintptr_t message) noexcept {
  auto* left = reinterpret_cast<thread*>(message & ~action_mask);
  const auto action = static_cast<after>(message & action_mask);
  if (action == after::parked) {
    if (left->permit.publish_parked()) return;
    transition(*left, thread_state::parked, thread_state::ready, wait_reason::none);
    model().ready_from_outside(*left);
  } else if (action == after::yielded) {
    model().ready_from_outside(*left);
  } else {
    TREADLE_CHECK(action == after::ended || action == after::ended_child,
                  "a guest does what only a processor's holder may do");
    finished_outside_.fetch_add(1, base::release);  // release: as owned_counter::add()
    memory_.unbind_outside(*left);
    if (action == after::ended) return publish_end(on, *left);
    transition(*left, thread_state::running, thread_state::finished, wait_reason::exited);
    record_pool::release(on.records, *left);
  }
}

}  // namespace treadle::core
