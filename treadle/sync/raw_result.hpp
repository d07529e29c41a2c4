// Something that becomes ready once: the state machine under futures.
//
// One word: pending, busy (somebody is at the lists), ready. finish() makes it ready with the store
// that also leaves the lists, and touches it no more: so whoever has seen it ready may destroy it,
// and what the finisher still wakes are nodes of threads that wait for just that.
// A watcher is called in the thread that finishes, after the waiters have been woken: for futures
// that wait for others without a thread.
#pragma once

#include <cstdint>

#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

using result_ground = ground<core::wait_reason::latch>;

// Belongs to whoever watches, until notify() is called, which may free it.
struct result_watcher {
  result_watcher* next = nullptr;  // guarded by the result's word
  void (*notify)(result_watcher& self) noexcept = nullptr;
};

template <class Ground>
class basic_result {
 public:
  constexpr basic_result() noexcept = default;
  basic_result(const basic_result&) = delete;
  basic_result& operator=(const basic_result&) = delete;

  bool is_ready() const noexcept {
    return word_.load(base::acquire) == ready;  // pairs with finish(), publishes what it is about
  }
  void wait() noexcept {
    if (!is_ready()) wait_slowly();
  }
  // False on time-out only.
  bool wait(base::deadline until) noexcept { return is_ready() || wait_until(until); }
  // False on time-out and stop only.
  bool wait(const base::wait_limit& limit) noexcept { return is_ready() || wait_within(limit); }
  // False when it is ready already: then nobody will notify.
  [[nodiscard]] bool watch(result_watcher& watching) noexcept;
  // Once.
  void finish() noexcept;

  // The parts of a wait, for tasks. False when it is ready.
  bool enlist(waiter& node) noexcept;
  // False for a node that the finisher has taken and will still touch.
  bool take_out(waiter& node) noexcept;

 private:
  enum : std::uint32_t { pending = 0, busy = 1, ready = 2 };

  bool seize() noexcept;
  void wait_slowly() noexcept;
  bool wait_until(base::deadline until) noexcept;
  bool wait_within(const base::wait_limit& limit) noexcept;
  bool leave(waiter& node) noexcept;

  typename Ground::template atomic<std::uint32_t> word_{pending};
  // Guarded by `busy`.
  wait_list waiters_;
  result_watcher* watchers_ = nullptr;
};

extern template class basic_result<result_ground>;
using raw_result = basic_result<result_ground>;

}  // namespace treadle::sync
