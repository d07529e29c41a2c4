// Whose turn it is on a processor when there are ready threads of several levels.
//
// The highest goes first; but every turns_share-th turn goes to the others, to one class after
// another: each of the four other levels, and the usual threads, which wait in queues of their own.
// So the first of each class, and thus everybody in order, runs within turns_max turns of a
// processor, however many of higher levels are ready. A turn is a thread picked.
// Source of giving each class a share: Waldspurger and Weihl, "Stride scheduling", 1995, without
// the strides.
#pragma once

#include "treadle/queue/level_queue.hpp"
#include "treadle/thread/current.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::core {

using thread_levels = queue::level_queue<thread>;

// Guess: a sixteenth is too little to be missed and enough to get on.
inline constexpr unsigned turns_share = 16;
inline constexpr unsigned turns_max = turns_share * thread_levels::levels;

// Where a thread that is not one of the usual ones waits.
inline unsigned queue_level(const thread& which) noexcept {
  // relaxed: changed under the queue's lock only
  const auto effective = static_cast<int>(which.level.load(base::relaxed).effective);
  return static_cast<unsigned>(effective + static_cast<int>(thread_levels::middle));
}

// A scope's child that the caller is about to start: on its parent's behalf, so with its level.
inline void inherit_level(thread& child) noexcept {
  const priority own = current_thread_or_null()->level.load(base::relaxed).own;  // a moment's
  child.level.store({own, own}, base::relaxed);  // relaxed: nobody else knows the child yet
}

// What a processor keeps. Owner only.
struct level_turns {
  unsigned next_class = 0;  // a level, or, behind them, the usual threads

  // Who is next at this turn; null: the usual ones, as if there were no levels. pick_usual() gives
  // one of those, or null.
  template <class PickUsual>
  thread* pick(thread_levels& levels, unsigned turn, PickUsual pick_usual) noexcept {
    const queue::level_set there = levels.occupied();
    if (there == 0) return nullptr;
    const queue::level_set higher = there & thread_levels::above;
    if (turn % turns_share != 0) return higher != 0 ? levels.pop(thread_levels::above) : nullptr;
    constexpr unsigned usual = thread_levels::levels;
    const unsigned top = higher != 0 ? 31U - static_cast<unsigned>(__builtin_clz(higher)) : usual;
    for (unsigned i = 0; i <= usual; ++i) {
      const unsigned one = next_class;
      next_class = one == usual ? 0 : one + 1;
      if (one == top) continue;
      thread* found = one == usual ? pick_usual() : levels.pop(1U << one);
      if (found != nullptr) return found;
    }
    return higher != 0 ? levels.pop(thread_levels::above) : nullptr;
  }
};

}  // namespace treadle::core
