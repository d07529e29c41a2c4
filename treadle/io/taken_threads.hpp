// Threads taken out of the lists of descriptors, to be woken once no descriptor's lock is held.
//
// A thread's record outlives the waiter, which is gone as soon as its outcome is known; so whoever
// takes it may wake it late, and it is then a stray token at worst. Several descriptors may share
// one of these: what is cold of the threads that wait for them is fetched for all at once.
// Used by one kernel thread, on its stack.
#pragma once

#include <cstdint>

#include "treadle/io/descriptor_waits.hpp"

namespace treadle::io {

template <class Ground>
class basic_taken_threads {
 public:
  using waits = basic_descriptor_waits<Ground>;
  using waiter = basic_descriptor_waiter<Ground>;

  // Before the first take() from another descriptor.
  void begin_descriptor() noexcept { has_chosen_ = false; }

  // With the lock held: takes out who wants one of `bits`, as many as there is room for. True when
  // there are more: wake these, then take again. Those were chosen by the first look. Who was woken
  // may be back in the list by then, and would else be found again and again.
  // Kernel threads see events for themselves, but not what a ring received.
  bool take(waits& from, std::uint32_t bits, wait_outcome outcome) noexcept {
    bool more = false;
    waiter* node = from.first;
    while (node != nullptr) {
      waiter* next = node->next;
      const bool own_poll = node->wake_descriptor >= 0 && from.ahead == nullptr;
      const bool matches =
          (node->wanted & bits) != 0 && !(own_poll && outcome == wait_outcome::ready);
      if (has_chosen_ ? node->chosen : matches) {
        if (!is_full()) {
          end(from, *node, outcome);
        } else {
          node->chosen = more = true;
        }
      }
      node = next;
    }
    has_chosen_ = true;
    return more;
  }

  // With the lock held.
  void end(waits& from, waiter& node, wait_outcome outcome) noexcept {
    from.remove(node);
    if (node.wake_descriptor >= 0) {
      // Under the lock: the eventfd is its own only as long as its waiter is in the list.
      Ground::ring(node.wake_descriptor);
    } else {
      __builtin_prefetch(node.who, 1);
      threads_[count_++] = node.who;
    }
    node.outcome.store(outcome, base::release);  // pairs with the waiter's look
  }

  bool is_full() const noexcept { return count_ == capacity; }

  void wake() noexcept {
    for (unsigned i = 0; i < count_; ++i) Ground::unpark(*threads_[i]);
    count_ = 0;
  }

 private:
  static constexpr unsigned capacity = Ground::woken_at_once;
  bool has_chosen_ = false;
  unsigned count_ = 0;
  core::thread* threads_[capacity];
};

using taken_threads = basic_taken_threads<ground>;

}  // namespace treadle::io
