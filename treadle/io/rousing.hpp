// How other kernel threads rouse the one that waits in a poller.
//
// Of a rouser and a waiter one sees the other: the one says that it has roused and then looks
// whether anybody waits, the other says that it waits and then looks whether it was roused. A wait
// ends for one that has been roused since the last wait; one too many may end early, with a ring
// that comes late. What the rouser did before it, the waiter sees when its wait has ended, or else
// when the next has, which does not block.
#pragma once

#include "treadle/io/ground.hpp"

namespace treadle::io {

template <class Ground = ground>
class basic_rousing {
 public:
  // Any kernel thread. True: somebody waits, and the caller must ring.
  [[nodiscard]] bool rouse() noexcept {
    // seq_cst, both: of us and begin_wait() one sees the other
    roused_.store(true, base::seq_cst);
    return waits_.load(base::seq_cst);
  }

  // The one that polls. False: it must not block, only look. In either case end_wait() follows.
  [[nodiscard]] bool begin_wait() noexcept {
    // seq_cst, both: see rouse()
    waits_.store(true, base::seq_cst);
    return !roused_.load(base::seq_cst);
  }
  void end_wait() noexcept {
    waits_.store(false, base::relaxed);  // relaxed: a late rouser rings in vain
    // relaxed: one that is not seen yet ends the next wait. acq_rel: pairs with rouse(), the caller
    // then sees what it was woken for
    if (roused_.load(base::relaxed)) roused_.exchange(false, base::acq_rel);
  }

 private:
  typename Ground::template atomic<bool> waits_{false};
  typename Ground::template atomic<bool> roused_{false};
};

using rousing = basic_rousing<>;

}  // namespace treadle::io
