// A count that goes up and down, and threads that wait for zero: the state machine behind
// wait_group.
//
// As in a latch, the count becomes zero only under lock_, and a thread that finds it zero passes
// through that lock: so whoever returns from wait() may destroy the wait group, the last done() has
// left. The count may leave zero at any time, without the lock: nobody waits then.
#pragma once

#include <cstdint>

#include "treadle/base/check.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

using wait_group_ground = ground<core::wait_reason::wait_group>;

template <class Ground>
class basic_wait_group {
 public:
  constexpr explicit basic_wait_group(std::int64_t count) noexcept : count_(count) {}
  ~basic_wait_group() {
    if (!list_.empty() && !base::process_is_ending()) {
      base::fail_misuse("wait_group::~wait_group", "threads still wait for it");
    }
  }
  basic_wait_group(const basic_wait_group&) = delete;
  basic_wait_group& operator=(const basic_wait_group&) = delete;

  void add(std::int64_t more) noexcept;
  void done(std::int64_t less) noexcept;
  bool try_wait() noexcept;
  void wait() noexcept;
  // False on time-out and stop only.
  bool wait(const base::wait_limit& limit) noexcept;

  // The parts of a wait, for tasks. False when the count is zero.
  bool enlist(waiter& node) noexcept;
  // False for a node that a granter has taken and will still touch.
  bool take_out(waiter& node) noexcept;

 private:
  typename Ground::template atomic<std::int64_t> count_;
  typename Ground::list_lock lock_;
  // Guarded by lock_.
  wait_list list_;
};

extern template class basic_wait_group<wait_group_ground>;
using raw_wait_group = basic_wait_group<wait_group_ground>;

}  // namespace treadle::sync
