// A channel without a buffer: each value goes from the sender's frame into the receiver's.
//
// Who comes first waits; who comes second moves the value and wakes the first. One word:
//   idle - nobody waits; lone - one thread waits, the rest is its node, and a flag says on which
//   side; busy - somebody is at the lists; else flags that say which lists have somebody; closed.
// So a hand-over between two threads is one compare-and-swap on either side, without the lists.
// Invariants: no two threads that could meet wait at the same time; a lone node is a plain wait,
// never a select's. Nobody touches the channel after the word has told others that he is done, so
// the thread that was served last may destroy it.
// Any thread, also foreign kernel threads.
#pragma once

#include <cstdint>

#include "treadle/base/indirect_return.hpp"
#include "treadle/sync/channel_waiter.hpp"

namespace treadle::sync {

template <class Ground>
class basic_rendezvous {
 public:
  using node = channel_node<Ground>;
  using element = channel_element;

  constexpr basic_rendezvous() noexcept = default;
  ~basic_rendezvous() {
    // relaxed: whoever destroys has synchronised with all users already
    const std::uintptr_t last = word_.load(base::relaxed);
    if (last != idle && last != closed) [[unlikely]]
      destroyed_in_use();
  }
  basic_rendezvous(const basic_rendezvous&) = delete;
  basic_rendezvous& operator=(const basic_rendezvous&) = delete;

  // Moves the value out of `value` or makes one there; for ever.
  template <channel_side Side>
  [[gnu::always_inline]] channel_status pass(const element& kind, void* value) noexcept {
    return meet_lone<Side>(kind, value) ? channel_status::done : wait_first(Side, kind, value);
  }
  // The same within limits.
  template <channel_side Side>
  [[gnu::always_inline]] channel_status pass(const element& kind, void* value,
                                             channel_patience patience) noexcept {
    return meet_lone<Side>(kind, value) ? channel_status::done
                                        : pass_slowly(Side, kind, value, patience);
  }

  // True when that was now and not before.
  bool close() noexcept;

  // A guess, for polling.
  bool seems_ready(channel_side side) const noexcept {
    const std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: a guess
    return seen == closed || seen == busy || (seen & flag_of(opposite(side))) != 0;
  }
  bool is_closed() const noexcept {
    return word_.load(base::relaxed) == closed;  // relaxed: a guess when it is not closed
  }

  // For selects. Under the lock: whether there is nobody to meet, and putting nodes in the lists.
  const void* list_lock(channel_side) const noexcept { return &word_; }
  void lock_list(channel_side) noexcept { lock(); }
  void unlock_list(channel_side) noexcept { unlock(); }
  bool must_wait(channel_side side) const noexcept {
    return !over_ && queue_of(opposite(side)).empty();
  }
  void push(channel_side side, node& mine) noexcept { queue_of(side).push(mine); }
  // Takes the node of a claimed group out, if it is still there.
  void withdraw(channel_side side, node& mine) noexcept;

 private:
  enum : std::uintptr_t {
    idle = 0,
    busy = 1,
    receivers = 2,
    senders = 4,
    lone = 8,
    closed = lone | busy,
    tags = 15
  };

  static constexpr std::uintptr_t tags_of(std::uintptr_t word) noexcept { return word & tags; }
  static constexpr std::uintptr_t flag_of(channel_side side) noexcept {
    return side == channel_side::sender ? senders : receivers;
  }
  static bool is_lone(std::uintptr_t word) noexcept {
    return (word & lone) != 0 && (word & busy) == 0;
  }
  static std::uintptr_t lone_word(node& waiting, channel_side side) noexcept {
    return reinterpret_cast<std::uintptr_t>(&waiting) | lone | flag_of(side);
  }
  static node& node_in(std::uintptr_t word) noexcept {
    return *reinterpret_cast<node*>(word & ~std::uintptr_t{tags});
  }
  [[gnu::always_inline]] static void move(channel_side side, const element& kind, void* mine,
                                          void* others) noexcept {
    if (side == channel_side::sender) {
      kind.move(others, mine);
    } else {
      kind.move(mine, others);
    }
  }

  template <channel_side Side>
  [[gnu::always_inline]] bool meet_lone(const element& kind, void* value) noexcept {
    const std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the swap
    if (tags_of(seen) != (lone | flag_of(opposite(Side))) || !swap_if_alone(seen, idle)) {
      return false;
    }
    move(Side, kind, value, node_in(seen).value);
    // The channel may be gone once its waiter is granted.
    Ground::grant(node_in(seen));
    return true;
  }
  bool swap_if_alone(std::uintptr_t expected, std::uintptr_t desired) noexcept {
    return base::swap_if_alone(word_, expected, desired);
  }
  channel_queue<Ground>& queue_of(channel_side side) noexcept {
    return side == channel_side::sender ? senders_ : receivers_;
  }
  const channel_queue<Ground>& queue_of(channel_side side) const noexcept {
    return side == channel_side::sender ? senders_ : receivers_;
  }
  TREADLE_INDIRECT_RETURN channel_status wait_first(channel_side side, const element& kind,
                                                    void* value) noexcept;
  channel_status pass_slowly(channel_side side, const element& kind, void* value,
                             channel_patience patience) noexcept;
  void lock() noexcept;
  void unlock() noexcept;
  void destroyed_in_use() const noexcept;

  typename Ground::template atomic<std::uintptr_t> word_{idle};
  // Guarded by `busy`.
  channel_queue<Ground> senders_;
  channel_queue<Ground> receivers_;
  bool over_ = false;
};

}  // namespace treadle::sync
