// co_await on semaphores, events, latches, barriers and wait groups. Each form without a limit
// gives nothing, each with one whether it was granted.
#pragma once

#include "treadle/barrier.hpp"
#include "treadle/co_access.hpp"
#include "treadle/event.hpp"
#include "treadle/latch.hpp"
#include "treadle/semaphore.hpp"
#include "treadle/wait_group.hpp"

namespace treadle::co {

template <std::ptrdiff_t Max>
[[nodiscard]] auto acquire(counting_semaphore<Max>& semaphore) noexcept {
  return tasks::wait_for<tasks::semaphore_wait>({{}, &access::raw(semaphore)});
}
template <std::ptrdiff_t Max>
[[nodiscard]] auto acquire(counting_semaphore<Max>& semaphore, wait_limit limit) noexcept {
  return tasks::wait_within<tasks::semaphore_wait>({{}, &access::raw(semaphore)}, std::move(limit));
}

[[nodiscard]] inline auto wait(manual_reset_event& event) noexcept {
  using kind = tasks::event_wait<sync::raw_manual_reset_event>;
  return tasks::wait_for<kind>({{}, &access::raw(event)});
}
[[nodiscard]] inline auto wait(manual_reset_event& event, wait_limit limit) noexcept {
  using kind = tasks::event_wait<sync::raw_manual_reset_event>;
  return tasks::wait_within<kind>({{}, &access::raw(event)}, std::move(limit));
}
[[nodiscard]] inline auto wait(auto_reset_event& event) noexcept {
  using kind = tasks::event_wait<sync::raw_auto_reset_event>;
  return tasks::wait_for<kind>({{}, &access::raw(event)});
}
[[nodiscard]] inline auto wait(auto_reset_event& event, wait_limit limit) noexcept {
  using kind = tasks::event_wait<sync::raw_auto_reset_event>;
  return tasks::wait_within<kind>({{}, &access::raw(event)}, std::move(limit));
}

[[nodiscard]] inline auto wait(const latch& which) noexcept {
  return tasks::wait_for<tasks::latch_wait>({{}, &access::raw(which)});
}
[[nodiscard]] inline auto wait(const latch& which, wait_limit limit) noexcept {
  return tasks::wait_within<tasks::latch_wait>({{}, &access::raw(which)}, std::move(limit));
}
[[nodiscard]] inline auto arrive_and_wait(latch& which, std::ptrdiff_t by = 1) {
  if (by < 0) base::fail_misuse("latch::arrive_and_wait", "the number is negative");
  return tasks::wait_for<tasks::latch_meeting>({{{}, &access::raw(which)}, by});
}

[[nodiscard]] inline auto wait(wait_group& group) noexcept {
  return tasks::wait_for<tasks::group_wait>({{}, &access::raw(group)});
}
[[nodiscard]] inline auto wait(wait_group& group, wait_limit limit) noexcept {
  return tasks::wait_within<tasks::group_wait>({{}, &access::raw(group)}, std::move(limit));
}

namespace detail {

// The arrival and the wait in one: the last to arrive does not wait.
template <class Barrier>
struct barrier_meeting : tasks::barrier_wait {
  bool enlist(node& mine) noexcept {
    const sync::raw_barrier::arrival made = on->arrive_and_enlist(mine);
    access::finish(*of, made);
    return made.is_last;
  }

  Barrier* of;
};

}  // namespace detail

// The last to arrive runs the completion, on its carrier.
template <class Completion>
[[nodiscard]] auto wait(barrier<Completion>& which,
                        typename barrier<Completion>::arrival_token&& arrival) noexcept {
  return tasks::wait_for<tasks::barrier_wait>({{}, &access::raw(which), access::phase(arrival)});
}
// The token is still good when the limit came first.
template <class Completion>
[[nodiscard]] auto wait(barrier<Completion>& which,
                        typename barrier<Completion>::arrival_token& arrival,
                        wait_limit limit) noexcept {
  return tasks::wait_within<tasks::barrier_wait>({{}, &access::raw(which), access::phase(arrival)},
                                                 std::move(limit));
}
template <class Completion>
[[nodiscard]] auto arrive_and_wait(barrier<Completion>& which) noexcept {
  using kind = detail::barrier_meeting<barrier<Completion>>;
  return tasks::wait_for<kind>({{{}, &access::raw(which), {}}, &which});
}

}  // namespace treadle::co
