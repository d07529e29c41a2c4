// Waiting threads in order of arrival: each brings a node on its own stack.
//
// The life of a wait: push the node under the primitive's lock - release the lock - park until
// `granted` - on time-out take the lock again and leave the list unless granted meanwhile. The
// granter reads the thread from the node before it grants: once granted, the node may be gone.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::sync {

struct waiter {
  explicit waiter(core::thread& waiting) noexcept : who(&waiting) {}

  // Guarded by the primitive's lock; set when the node enters a list.
  waiter* next;
  waiter* previous;
  // Fixed after start.
  core::thread* const who;
  // Guarded as the links.
  bool popped = false;  // taken out of the list by a granter, who will grant it in a moment
  // Set once by the granter, before it unparks.
  base::atomic<bool> granted{false};

  bool is_granted() const noexcept {
    return granted.load(base::acquire);  // pairs with grant(), publishes what the granter did
  }

  // Parks until granted or `until`. False on time-out: the node is then still in the list, or a
  // granter has popped it and is about to grant it. Looks before it parks: whoever unlocked a
  // user's lock meanwhile may have parked there, and used up the token that came with the grant.
  bool wait(core::wait_reason why, base::deadline until) noexcept {
    core::scheduler_port& scheduler = *who->scheduler;
    if (until.is_never()) {
      // A loop only to look again: a tail call would come back past TREADLE_INDIRECT_RETURN.
      while (!is_granted()) wait_at_once(why);
      return true;
    }
    while (!is_granted()) {
      if (scheduler.park(why, until) == core::wake::timed_out) return is_granted();
    }
    return true;
  }

  // Without a limit and without a look, for who has not parked since granters know the node.
  void wait_at_once(core::wait_reason why) noexcept {
    who->scheduler->park_until_set(*who, granted, why);
  }

  // The same until a stop, too, and false also then.
  bool wait(core::wait_reason why, base::deadline until, const core::stop_alarm& stop) noexcept {
    const auto granted_now = [this]() noexcept { return is_granted(); };
    return core::park_until(*who, why, until, stop, granted_now) == core::wait_end::met;
  }

  void grant() noexcept {
    core::thread& waiting = *who;
    granted.store(true, base::release);  // pairs with is_granted(); the node may vanish now
    core::scheduler_port::unpark(waiting);
  }
};

// Guarded by the lock of the primitive that owns it.
class wait_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }

  void push_back(waiter& node) noexcept {
    node.previous = last_;
    node.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &node;
    last_ = &node;
  }

  void push_front(waiter& node) noexcept {
    node.next = first_;
    node.previous = nullptr;
    (first_ != nullptr ? first_->previous : last_) = &node;
    first_ = &node;
  }

  // For a granter.
  waiter* pop_front() noexcept {
    waiter* node = first_;
    if (node == nullptr) return nullptr;
    remove(*node);
    node->popped = true;
    return node;
  }

  void remove(waiter& node) noexcept {
    (node.previous != nullptr ? node.previous->next : first_) = node.next;
    (node.next != nullptr ? node.next->previous : last_) = node.previous;
  }

  // All of them for a granter, linked through `next`; the list is empty then.
  waiter* pop_all() noexcept {
    waiter* all = first_;
    for (waiter* node = all; node != nullptr; node = node->next) node->popped = true;
    first_ = last_ = nullptr;
    return all;
  }

  // The same of the first `count`, which loses their number.
  waiter* pop_some(std::int64_t& count) noexcept {
    waiter* const chain = first_;
    waiter* last = nullptr;
    for (; count > 0 && first_ != nullptr; --count) {
      last = first_;
      last->popped = true;
      first_ = last->next;
    }
    if (last == nullptr) return nullptr;
    last->next = nullptr;
    (first_ != nullptr ? first_->previous : last_) = nullptr;
    return chain;
  }

  // Grants all nodes of such a chain; with no lock held.
  template <class Grant>
  static void grant_all(waiter* chain, Grant grant) noexcept {
    while (chain != nullptr) {
      waiter* node = chain;
      chain = chain->next;  // before the grant: the node may vanish with it
      grant(*node);
    }
  }
  static void grant_all(waiter* chain) noexcept {
    grant_all(chain, [](waiter& node) noexcept { node.grant(); });
  }

 private:
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

}  // namespace treadle::sync
