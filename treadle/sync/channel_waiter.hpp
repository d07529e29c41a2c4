// What the two kinds of channels share: how a value is moved, and the node of a thread that waits.
//
// A plain wait brings one node, a select one for each of its cases. Whoever pops a node of a select
// must claim the group before he may commit to it: the first claim wins, and a node whose group is
// claimed already is dropped like one that was never there. Both happen under the lock of the list
// that the node is in, for the group's thread takes its other nodes out under those locks.
// A wait within a limit is a group of one node, which the limit's end claims. Rejected: that it
// takes the node out of the list unless somebody has popped it. Who was served may have destroyed
// the channel by then, so that the look at the list came too late.
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle {

// How an operation on a channel ended. `gave_up`: it would have had to wait for longer than it was
// allowed to.
enum class channel_status : std::uint8_t { done, closed, gave_up };

namespace sync {

struct channel_ground : ground<core::wait_reason::channel> {
  static unsigned random_below(unsigned bound) noexcept {
    return core::current_worker().random_below(bound);
  }
};

enum class channel_side : std::uint8_t { sender, receiver };

constexpr channel_side opposite(channel_side side) noexcept {
  return side == channel_side::sender ? channel_side::receiver : channel_side::sender;
}

// What a channel knows of the type of its values; nothing here throws.
struct channel_element {
  std::size_t bytes;
  std::size_t alignment;
  void (*move)(void* to,
               void* from) noexcept;  // makes `to` out of `from`, which must then be ended
  void (*end)(void* value) noexcept;  // as a destructor
};

// Several waits, of which one is to win.
template <class Ground>
struct channel_group {
  static constexpr std::uint32_t open = ~std::uint32_t{0};
  // Claims a group for its own thread.
  static constexpr std::uint32_t itself = open - 1;

  explicit channel_group(core::thread& waiting) noexcept : self(waiting) {}
  channel_group(core::thread& waiting, void (*wakes)(channel_group&) noexcept) noexcept
      : self(waiting), wake(wakes) {}

  bool claim(std::uint32_t by) noexcept {
    std::uint32_t expected = open;
    // acq_rel: of two that claim the later sees what the earlier one did
    return winner.compare_exchange_strong(expected, by, base::acq_rel, base::acquire);
  }

  // What is granted; in no list.
  waiter self;
  // Fixed after start. Grants in another way, for a thread that does not park; null mostly.
  void (*const wake)(channel_group&) noexcept = nullptr;
  // Atomic: who has won.
  typename Ground::template atomic<std::uint32_t> winner{open};
  // Written by the winner before the grant.
  channel_status result = channel_status::done;
};

// Aligned so that its address has room for a word's tags.
template <class Ground>
struct alignas(16) channel_node : waiter {
  channel_node(core::thread& waiting, void* place) noexcept : waiter(waiting), value(place) {}
  channel_node(channel_group<Ground>& of, void* place, std::uint32_t number) noexcept
      : waiter(*of.self.who), value(place), group(&of), index(number) {}

  // Fixed after start. The value of a sender, or where a receiver's is to be made.
  void* const value;
  channel_group<Ground>* const group = nullptr;  // null: a plain wait
  const std::uint32_t index = 0;                 // in the group
  // Guarded by the lock of its list.
  bool in_list = false;  // ever put there
  // Written by the granter before the grant, for plain waits.
  channel_status result = channel_status::done;
};

// Guarded by the channel's lock.
template <class Ground>
class channel_queue {
 public:
  using node = channel_node<Ground>;

  bool empty() const noexcept { return list_.empty(); }

  void push(node& mine) noexcept {
    mine.in_list = true;
    mine.popped = false;
    list_.push_back(mine);
  }

  // The first to whom the caller may commit, now claimed; null when there is none.
  node* pop() noexcept {
    while (waiter* const first = list_.pop_front()) {
      node& found = static_cast<node&>(*first);
      if (found.group == nullptr || found.group->claim(found.index)) return &found;
    }
    return nullptr;
  }

  // Does nothing for a node that somebody has popped, or that never was here.
  void remove(node& mine) noexcept {
    if (mine.in_list && !mine.popped) list_.remove(mine);
  }

 private:
  wait_list list_;
};

// After all else: the node and its group may be gone.
template <class Ground>
[[gnu::always_inline]] inline void grant(channel_node<Ground>& claimed) noexcept {
  if (claimed.group == nullptr) [[likely]]
    return Ground::grant(claimed);
  claimed.group->wake == nullptr ? Ground::grant(claimed.group->self)
                                 : claimed.group->wake(*claimed.group);
}

// All nodes that were popped when a channel was closed, to be granted without a lock.
template <class Ground>
class closed_waits {
 public:
  void take_all(channel_queue<Ground>& from) noexcept {
    while (channel_node<Ground>* const each = from.pop()) {
      (each->group == nullptr ? each->result : each->group->result) = channel_status::closed;
      all_.push_back(*each);
    }
  }
  void grant_all() noexcept {
    wait_list::grant_all(all_.pop_all(), [](waiter& each) noexcept {
      grant(static_cast<channel_node<Ground>&>(each));
    });
  }

 private:
  wait_list all_;
};

// Between the rooms only: a value found no memory, which the API reports as std::bad_alloc.
inline constexpr auto channel_no_memory = static_cast<channel_status>(3);

// How long an operation may wait.
struct channel_patience {
  const base::wait_limit* limit = nullptr;  // null: for ever
  bool none = false;                        // not at all
};

// True when granted. False when the limit came first: the group is then claimed by its own thread,
// which takes its nodes out.
template <class Ground>
[[nodiscard]] bool wait_or_claim(channel_group<Ground>& mine,
                                 const base::wait_limit* limit) noexcept {
  const auto in_time = [&]() noexcept {
    if (limit == nullptr) return Ground::wait(mine.self, base::deadline::never());
    if (!limit->stop().stop_possible()) return Ground::wait(mine.self, limit->until());
    const typename Ground::alarm alarm(*mine.self.who, limit->stop());
    return Ground::wait(mine.self, limit->until(), &alarm);
  };
  if (in_time()) return true;
  if (mine.claim(channel_group<Ground>::itself)) return false;
  // The grant is on its way.
  return Ground::wait(mine.self, base::deadline::never());
}

// What one operation waits with, for ever or within a limit.
template <class Ground>
class channel_wait {
 public:
  channel_wait(void* place, const base::wait_limit* limit) noexcept
      : limit_(limit), group_(Ground::self()), node_(make(place)) {}
  channel_wait(const channel_wait&) = delete;
  channel_wait& operator=(const channel_wait&) = delete;

  channel_node<Ground>& node() noexcept { return node_; }
  // After the node was listed. The channel may be gone, unless it gave up: then the node is to be
  // withdrawn.
  channel_status end() noexcept {
    if (limit_ == nullptr) [[likely]] {
      static_cast<void>(Ground::wait(node_, base::deadline::never()));
      return node_.result;
    }
    return wait_or_claim(group_, limit_) ? group_.result : channel_status::gave_up;
  }

 private:
  channel_node<Ground> make(void* place) noexcept {
    if (limit_ == nullptr) return channel_node<Ground>(*group_.self.who, place);
    return channel_node<Ground>(group_, place, 0);
  }

  const base::wait_limit* const limit_;
  channel_group<Ground> group_;  // only within a limit
  channel_node<Ground> node_;
};

}  // namespace sync
}  // namespace treadle
