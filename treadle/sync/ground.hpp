// What the state machines of this room stand on: atomics, locks, parking. A test puts its explorer
// in its place (tests/support/explored_ground.hpp).
#pragma once

#include "treadle/base/biased.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

template <core::wait_reason Why>
struct ground {
  template <class T>
  using atomic = base::biased<T>;
  template <class T>
  using flag = base::atomic<T>;  // stored by anybody, or rarely changed: has no short form
  using list_lock = base::spin_lock;
  using pause = base::spin_pause;
  using alarm = core::stop_alarm;

  static core::thread& self() noexcept { return core::current_thread(); }
  // As waiter::wait(); `stop` may be null.
  static bool wait(waiter& node, base::deadline until, const alarm* stop = nullptr) noexcept {
    return stop == nullptr ? node.wait(Why, until) : node.wait(Why, until, *stop);
  }
  // The same without a limit for who cannot have parked since granters know the node.
  static void wait_at_once(waiter& node) noexcept { node.wait_at_once(Why); }
  static void grant(waiter& node) noexcept { node.grant(); }
  // Lets others run who will make true what the caller waits for in a moment. They may be tasks
  // behind the caller on its carrier, for which only a carrier that parks is stood in for.
  static void give_way() noexcept {
    core::thread& mine = core::current_thread();
    if (mine.scheduler->carrier == nullptr) return mine.scheduler->yield();
    // Guess: a wake-up or two.
    constexpr std::int64_t moment = 20'000;
    const base::deadline until = base::deadline::at(base::monotonic_now() + moment);
    static_cast<void>(mine.scheduler->park(Why, until));
  }
};

}  // namespace treadle::sync
