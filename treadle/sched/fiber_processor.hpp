// What a processor of either fiber model owns besides its run queue: timers, warm stacks, and
// stacks promised but not yet given to a thread. Owner only, but for the timers; the owner is the
// worker that the claim names.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/context/stack_arena.hpp"
#include "treadle/sched/claim.hpp"
#include "treadle/sched/level_turns.hpp"
#include "treadle/sched/timer_queue.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {

// A number that its owner alone changes and anybody may read.
class owned_counter {
 public:
  [[gnu::always_inline]] void add(std::uint64_t more) noexcept {
    // relaxed load: owner only. release: pairs with get(), so that whoever sees a thread's end
    // counted also sees its start and its children's starts counted.
    value_.store(value_.load(base::relaxed) + more, base::release);
  }
  std::uint64_t get() const noexcept { return value_.load(base::acquire); }

 private:
  base::atomic<std::uint64_t> value_{0};
};

// Warm stacks, by the body at their top, which stays initialised while they wait.
class stack_cache {
 public:
  // Guess: with 64 stacks a spawn-join loop or a fork tree never leaves the cache, and 64 warm
  // pages are a quarter of a typical second-level cache's reach.
  static constexpr std::size_t capacity = 64;

  // Cannot fail: the arena has promised a stack for each thread.
  [[gnu::always_inline]] thread_body* take(context::stack_arena& arena) noexcept {
    if (count_ == 0) [[unlikely]]
      refill(arena);
    return bodies_[--count_];
  }

  [[gnu::always_inline]] void put(context::stack_arena& arena, thread_body* warm) noexcept {
    if (count_ == capacity) [[unlikely]]
      spill(arena);
    bodies_[count_++] = warm;
  }

  bool is_full() const noexcept { return count_ == capacity; }
  [[gnu::always_inline]] void put_into_room(thread_body* warm) noexcept {
    bodies_[count_++] = warm;
  }

  void drain(context::stack_arena& arena) noexcept;

  // A promised stack with a body, not from a cache.
  static thread_body* fetch(context::stack_arena& arena) noexcept;

 private:
  // Measured (bench sleepers): 32 stacks that were never used cost 1.05 us each to bring in at
  // once, 1.5 us one by one; more at once gain nothing.
  static constexpr std::size_t refill_max = 32;
  static_assert(refill_max <= capacity);

  // At least one; twice as many each time, as who needs many soon needs more.
  void refill(context::stack_arena& arena) noexcept;
  // The older half goes: the younger stacks are the warm ones.
  void spill(context::stack_arena& arena) noexcept;

  std::size_t next_refill_ = 1;
  std::size_t count_ = 0;
  thread_body* bodies_[capacity];
};

struct alignas(base::false_sharing_bytes) fiber_processor {
  core::claim claim;  // beside what its holder changes all the time

  // Owner only.
  std::size_t promises = 0;                    // stacks promised to this processor's future threads
  base::atomic<unsigned> recalls_answered{0};  // of promises; read by who has recalled them
  // Threads picked, for what must be looked at now and then. Read by who looks for hogs.
  base::atomic<unsigned> ticks{0};
  stack_cache stacks;
  level_turns turns;

  // Written by the owner, read by all.
  owned_counter started;
  owned_counter finished;
  owned_counter sleeps;
  owned_counter steals;
  owned_counter stolen_threads;

  timer_queue timers;

  unsigned tick() noexcept {
    const unsigned now = ticks.load(base::relaxed) + 1;  // relaxed, both: others only guess
    ticks.store(now, base::relaxed);
    return now;
  }
};

}  // namespace treadle::core
