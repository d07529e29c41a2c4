// What a processor of either fiber model owns besides its run queue: timers, warm stacks, and
// stacks promised but not yet given to a thread. Owner only, but for the timers.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/context/stack_arena.hpp"
#include "treadle/sched/timer_queue.hpp"

namespace treadle::core {

// A number that its owner alone changes and anybody may read.
class owned_counter {
 public:
  void add(std::uint64_t more) noexcept {
    // relaxed load: owner only. release: pairs with get(), so that whoever sees a thread's end
    // counted also sees its start and its children's starts counted.
    value_.store(value_.load(base::relaxed) + more, base::release);
  }
  std::uint64_t get() const noexcept { return value_.load(base::acquire); }

 private:
  base::atomic<std::uint64_t> value_{0};
};

class stack_cache {
 public:
  // Guess: with 64 stacks a spawn-join loop or a fork tree never leaves the cache, and 64 warm
  // pages are a quarter of a typical second-level cache's reach.
  static constexpr std::size_t capacity = 64;

  // Cannot fail: the arena has promised a stack for each thread.
  context::stack take(context::stack_arena& arena) noexcept {
    if (count_ == 0) {
      count_ = arena.take(slots_, 1);
      TREADLE_CHECK(count_ == 1, "a promised stack is missing");
    }
    return slots_[--count_];
  }

  void put(context::stack_arena& arena, const context::stack& warm) noexcept {
    if (count_ == capacity) {
      // The older half goes: the younger stacks are the warm ones.
      arena.put(slots_, capacity / 2);
      count_ = capacity / 2;
      for (std::size_t i = 0; i < count_; ++i) slots_[i] = slots_[i + capacity / 2];
    }
    slots_[count_++] = warm;
  }

  void drain(context::stack_arena& arena) noexcept {
    arena.put(slots_, count_);
    count_ = 0;
  }

 private:
  std::size_t count_ = 0;
  context::stack slots_[capacity];
};

struct alignas(base::false_sharing_bytes) fiber_processor {
  // Owner only.
  stack_cache stacks;
  std::size_t promises = 0;  // stacks promised to this processor's future threads
  unsigned ticks = 0;        // threads picked, for what must be looked at now and then

  // Written by the owner, read by all.
  owned_counter started;
  owned_counter finished;
  owned_counter sleeps;
  owned_counter steals;
  owned_counter stolen_threads;

  timer_queue timers;
};

}  // namespace treadle::core
