// The timers of one processor: sleeping threads by deadline.
//
// The owner fires them between two threads and when it goes idle; an idle worker fires another
// processor's when its owner is busy. A timer fires as an unpark: the sleeper sees that its node
// has left the heap and reports the time-out. Source of the earliest-deadline hint: Go's
// per-processor timers (runtime/time.go).
#pragma once

#include <cstdint>
#include <limits>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/queue/timer_heap.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {

struct timer_queue {
  static constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

  base::spin_lock lock;
  // Guarded by lock.
  queue::timer_heap heap;
  // Written under lock. seq_cst: an idle worker reads it after announcing its sleep, an arming
  // thread writes it before it looks for sleepers; one of them must see the other.
  base::atomic<std::int64_t> earliest{no_deadline};

  void arm(thread_body& body, base::deadline until) noexcept {
    const base::guard hold(lock);
    body.timers = this;
    body.timer.deadline = until.nanoseconds();
    heap.insert(&body.timer);
    publish_earliest();
  }

  // Sleeper only. True when the timer had fired already.
  static bool disarm(thread_body& body) noexcept {
    timer_queue& mine = *body.timers;
    const base::guard hold(mine.lock);
    if (!body.timer.queued) return true;
    mine.heap.remove(&body.timer);
    mine.publish_earliest();
    return false;
  }

  bool has_expired(std::int64_t now) const noexcept {
    return earliest.load(base::seq_cst) <= now;  // seq_cst: see above
  }

  // Takes one expired sleeper out, or returns null. Any kernel thread.
  thread* pop_expired(std::int64_t now) noexcept {
    const base::guard hold(lock);
    base::timer_node* first = heap.first();
    if (first == nullptr || first->deadline > now) return nullptr;
    heap.remove(first);
    publish_earliest();
    // relaxed: the sleeper cannot end before it has taken our lock in disarm()
    return body_of(first)->owner.load(base::relaxed);
  }

 private:
  void publish_earliest() noexcept {
    const base::timer_node* first = heap.first();
    earliest.store(first == nullptr ? no_deadline : first->deadline, base::seq_cst);
  }

  static thread_body* body_of(base::timer_node* node) noexcept {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
    return reinterpret_cast<thread_body*>(reinterpret_cast<std::byte*>(node) -
                                          offsetof(thread_body, timer));
#pragma GCC diagnostic pop
  }
};

}  // namespace treadle::core
