// The ready threads of other levels than the usual one: a FIFO for each level, for all processors.
//
// Who looks here takes the highest; so there is nothing to steal, and a thread of a high level goes
// to the first processor that looks. One lock: such threads are few, or short of nothing but order.
// look_mask() says how often a processor must look: at each turn where the mask and the turn's
// number have no bit in common. While the queue is empty it is as rare as a processor looks around
// anyway, so nobody pays for levels that nobody uses.
// Rejected: one for each processor (the highest thread would wait behind the lower one that its
// processor runs, while others run lower ones); a lock-free one (a ready thread whose level changes
// must be found and moved).
// Any kernel thread may call everything here.
#pragma once

#include <cstddef>

#include "treadle/base/atomic.hpp"
#include "treadle/base/chain.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::queue {

// Set of levels, one bit each.
using level_set = unsigned;

template <class T>
class level_queue {
 public:
  static constexpr unsigned levels = 5;
  // Those in the middle level go before the usual threads, which are not here, as do those above.
  static constexpr unsigned middle = 2;
  static constexpr level_set all = (1U << levels) - 1;
  static constexpr level_set below = (1U << middle) - 1;
  static constexpr level_set above = all & ~below;

  // `rarely` when there is nothing, `sometimes` when there are only levels below the middle.
  level_queue(unsigned rarely, unsigned sometimes) noexcept
      : rarely_(rarely), sometimes_(sometimes), look_mask_(rarely) {}

  // level_of() is asked under the lock.
  template <class LevelOf>
  void push(T* item, LevelOf level_of) noexcept {
    const base::guard hold(lock_);
    items_[level_of()].push_back(item);
    publish();
  }

  // set() changes what level_of() says; the item moves with it if it is here, to the end.
  template <class LevelOf, class Set>
  void change(T* item, LevelOf level_of, Set set) noexcept {
    const base::guard hold(lock_);
    const unsigned before = level_of();
    set();
    const unsigned now = level_of();
    if (before == now || !items_[before].remove(item)) return;
    items_[now].push_back(item);
    publish();
  }

  // The first of the highest level among `which`; or null.
  T* pop(level_set which) noexcept {
    if ((occupied() & which) == 0) return nullptr;
    const base::guard hold(lock_);
    for (unsigned level = levels; level-- > 0;) {
      if ((which & (1U << level)) == 0 || items_[level].empty()) continue;
      T* item = items_[level].pop_front();
      publish();
      return item;
    }
    return nullptr;
  }

  // seq_cst: as inject_queue::size().
  level_set occupied() const noexcept { return occupied_.load(base::seq_cst); }
  bool looks_empty() const noexcept { return occupied() == 0; }

  unsigned look_mask() const noexcept { return look_mask_.load(base::relaxed); }  // relaxed: a hint

 private:
  void publish() noexcept {
    level_set now = 0;
    for (unsigned level = 0; level < levels; ++level) {
      if (!items_[level].empty()) now |= 1U << level;
    }
    if (now == occupied_.load(base::relaxed)) return;  // relaxed: changed under the lock only
    occupied_.store(now, base::seq_cst);               // as inject_queue::publish_size()
    // relaxed: a processor that sees it late looks one turn later
    look_mask_.store((now & above) != 0 ? 0 : now != 0 ? sometimes_ : rarely_, base::relaxed);
  }

  const unsigned rarely_;
  const unsigned sometimes_;
  // Written under lock_, read by all.
  base::atomic<unsigned> look_mask_;
  base::atomic<level_set> occupied_{0};
  base::spin_lock lock_;
  // Guarded by lock_.
  base::chain<T> items_[levels];
};

}  // namespace treadle::queue
