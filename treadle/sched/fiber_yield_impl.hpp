// How a thread of fiber_scheduler lets others run. Included by fiber_scheduler.hpp only.
//
// The usual case asks one question that covers thieves and levels (is_plain()).
#pragma once

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {

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

}  // namespace treadle::core
