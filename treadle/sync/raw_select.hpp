// One of several sends and receives: the state machine behind select().
//
// Two steps, again and again. Poll: try those cases that seem ready, one channel at a time, until
// one is done; then nothing waits anywhere. Wait: take the locks of all lists in question, in order
// of address; when no case could go on, put a node in each list, let go, park. Whoever pops a node
// claims the group first (channel_waiter.hpp). So a select that looks for others to meet is in no
// list, and one that is in a list looks for nobody: of two that meet one only is to be claimed, and
// crosswise selects can neither miss nor wait for each other. Whatever ends the wait, the thread
// then takes its other nodes out; that may be long after it was claimed, and does no harm.
// Among several cases that are ready the choice is random and even.
// Rejected: nodes put in one list after the other (somebody could claim a select that is about to
// claim him: each must then be able to take a claim back); a claim in two steps (the same).
// Source of taking all locks: Go's selectgo.
#pragma once

#include <cstdint>

#include "treadle/sync/raw_channel.hpp"

namespace treadle::sync {

// One way on.
template <class Ground>
struct select_case {
  basic_channel<Ground>* channel = nullptr;
  const channel_element* kind = nullptr;
  void* value = nullptr;  // as the channel's operations have it
  channel_side side = channel_side::sender;
};

struct select_outcome {
  static constexpr std::uint32_t nothing = ~std::uint32_t{0};
  std::uint32_t index = nothing;
  channel_status status = channel_status::gave_up;
};

// Called by one thread, on its own stack.
template <class Ground>
class basic_select {
 public:
  using one_case = select_case<Ground>;
  using node = channel_node<Ground>;
  using group = channel_group<Ground>;

  static constexpr std::uint32_t cases_max = 64;  // a word of bits

  // `nodes` is memory for as many nodes.
  basic_select(const one_case* cases, std::uint32_t count, void* nodes) noexcept
      : cases_(cases), count_(count), nodes_(static_cast<node*>(nodes)) {}
  basic_select(const basic_select&) = delete;
  basic_select& operator=(const basic_select&) = delete;

  select_outcome poll() noexcept;
  std::uint32_t count() const noexcept { return count_; }
  // A guess: a bit for each case that could go on.
  std::uint64_t ready_now() const noexcept;
  // Polls and waits; nothing when the limit came first. Null: for ever.
  select_outcome run(const base::wait_limit* limit) noexcept;

  // The parts of a wait. False when it is worth to poll again.
  [[nodiscard]] bool enlist(group& mine) noexcept;
  // For a group that is claimed, granted or by itself.
  void withdraw(const group& mine) noexcept;
  static select_outcome outcome_of(group& granted) noexcept;

 private:
  void sort() noexcept;
  const void* lock_of(std::uint32_t index) const noexcept {
    return cases_[index].channel->list_lock(cases_[index].side);
  }
  template <class F>
  void for_each_lock(F f) noexcept;

  // Fixed after start.
  const one_case* const cases_;
  const std::uint32_t count_;
  node* const nodes_;
  // In order of the locks' addresses; sorted before the first wait.
  bool is_sorted_ = false;
  std::uint8_t order_[cases_max];
};

// One of the bits of `ready`, which has some.
template <class Ground>
[[gnu::always_inline]] inline std::uint64_t choose_ready(std::uint64_t ready) noexcept {
  if ((ready & (ready - 1)) == 0) [[likely]]
    return ready;
  for (unsigned skip = Ground::random_below(static_cast<unsigned>(__builtin_popcountll(ready)));
       skip != 0; --skip) {
    ready &= ready - 1;
  }
  return ready & -ready;
}

extern template class basic_select<channel_ground>;
using raw_select = basic_select<channel_ground>;

}  // namespace treadle::sync
