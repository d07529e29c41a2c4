// A word that counts permits, or says who waits for one: what a semaphore and a condition share.
//
// The two low bits say what the rest is:
//   counted - the permits left, and nobody waits; lone - one thread waits, the rest is its node;
//   listed - threads wait in the list; busy - somebody is at the list and keeps the word meanwhile.
// So a hand-over between two threads is one compare-and-swap on either side, without the list.
// Invariant: while threads wait there is no permit. They wait in order of arrival.
#pragma once

#include <cstdint>

#include "treadle/sync/ground.hpp"

namespace treadle::sync {

template <class Ground>
class wait_word {
 public:
  // What a waiting thread brings, or a task (treadle/task).
  struct node : waiter {
    using waiter::waiter;
    bool in_list = false;  // ever put there; guarded by `busy`
  };

  // The parts of a wait. True with a permit, false with the node where a granter finds it.
  bool take_or_enlist(node& mine) noexcept;
  // False for a node that a granter has taken and will still touch.
  bool take_out(node& mine) noexcept;

 protected:
  enum : std::uint64_t { counted = 0, busy = 1, listed = 2, lone = 3, tags = 3, one = 4 };

  constexpr explicit wait_word(std::uint64_t permits) noexcept : word_(permits * one) {}

  static constexpr bool is(std::uint64_t word, std::uint64_t tag) noexcept {
    return (word & tags) == tag;
  }
  static std::uint64_t lone_word(node& waiting) noexcept {
    return reinterpret_cast<std::uint64_t>(&waiting) | lone;
  }
  static node& lone_node(std::uint64_t word) noexcept {
    return *reinterpret_cast<node*>(word & ~std::uint64_t{tags});
  }
  bool swap_if_alone(std::uint64_t expected, std::uint64_t desired) noexcept {
    return base::swap_if_alone(word_, expected, desired);
  }

  // After a time-out or a stop: true when the node has left, false when it was granted after all.
  bool leave(node& mine) noexcept;

  typename Ground::template atomic<std::uint64_t> word_;
  // Guarded by `busy`.
  wait_list waiters_;
};

}  // namespace treadle::sync
