// The timers of one processor: sleeping threads by deadline.
//
// The owner fires them between two threads and when it goes idle; an idle worker fires another
// processor's when its owner is busy. A timer fires as an unpark: the sleeper sees that it is no
// longer armed and reports the time-out.
// A wait that ends before its deadline leaves its node where it is: most waits with a deadline end
// long before it, and the thread's next one has a later deadline, for which the node is filed early
// enough. When its old time comes it is filed anew or dropped. So to wait with a deadline touches
// nobody else's memory mostly. Before a stack is given away its node is taken out: forget().
// Source of the earliest-deadline hint: Go's per-processor timers (runtime/time.go), of the nodes
// that stay: the lazy deletion there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/queue/timer_wheel.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {

struct timer_queue {
  static constexpr std::int64_t no_deadline = queue::timer_wheel::no_deadline;

  base::spin_lock lock;
  queue::timer_wheel wheel;  // guarded by lock
  // Written under lock: how many of the nodes stand for a thread that is to be woken.
  base::atomic<std::size_t> armed{0};
  // Written under lock. Nobody is to be woken before it. seq_cst: an idle worker reads it after
  // announcing its sleep, an arming thread writes it before it looks for sleepers; one of them must
  // see the other.
  base::atomic<std::int64_t> earliest{no_deadline};

  // The thread itself, about to park. It may end up in another processor's queue, where its node
  // still is. `now` is the time, or a moment before.
  void arm(thread_body& body, base::deadline until, std::int64_t now) noexcept {
    if (body.timers != nullptr && body.timers->arm_again(body, until)) return;
    const base::guard hold(lock);
    body.timers = this;
    body.timer.deadline = until.nanoseconds();
    wheel.insert(&body.timer, now);
    set_armed(body, until);
  }

  // Sleeper only. True when the timer had fired already.
  static bool disarm(thread_body& body) noexcept {
    timer_queue& mine = *body.timers;
    const base::guard hold(mine.lock);
    if (!is_queued(body)) body.timers = nullptr;
    if (!body.timer.armed) return true;
    body.timer.armed = false;
    mine.change_armed(-1);
    if (mine.armed_about() == 0) mine.publish_earliest();
    return false;
  }

  // Before the memory of a body goes: nobody is in it any more, but its node may still be queued.
  static void forget(thread_body& body) noexcept {
    if (body.timers == nullptr) return;
    timer_queue& mine = *body.timers;
    const base::guard hold(mine.lock);
    if (is_queued(body)) mine.wheel.remove(&body.timer);
    body.timers = nullptr;
  }

  bool has_expired(std::int64_t now) const noexcept {
    return earliest.load(base::seq_cst) <= now;  // seq_cst: see above
  }

  // A guess, unless the lock is held.
  std::size_t armed_about() const noexcept { return armed.load(base::relaxed); }

  // Takes sleepers whose time has come out, up to `room`, the earliest first; says how many. After
  // it, has_expired(now) is false or more of them wait. Any kernel thread.
  std::size_t pop_expired(std::int64_t now, thread** out, std::size_t room) noexcept {
    const base::guard hold(lock);
    std::size_t count = 0;
    while (count < room) {
      base::timer_node* node = wheel.pop_expired(now);
      if (node == nullptr) break;
      thread_body& body = body_of(*node);
      if (!body.timer.armed) continue;
      if (body.timer_until > now) {
        node->deadline = body.timer_until;
        wheel.insert(node, now);
        continue;
      }
      body.timer.armed = false;
      change_armed(-1);
      fetch_frames(body);
      // relaxed: the sleeper cannot end before it has taken our lock in disarm()
      out[count++] = body.owner.load(base::relaxed);
    }
    publish_earliest();
    return count;
  }

 private:
  static bool is_queued(const thread_body& body) noexcept {
    return body.timer.place != base::timer_node::unqueued;
  }

  // True when the node is still here, and no later than `until`.
  bool arm_again(thread_body& body, base::deadline until) noexcept {
    const base::guard hold(lock);
    if (!is_queued(body)) return false;
    if (body.timer.deadline > until.nanoseconds()) {
      wheel.remove(&body.timer);
      return false;
    }
    set_armed(body, until);
    return true;
  }

  // A sleeper's stack is cold: its frames, of which most have few, come in while others are woken.
  static void fetch_frames(const thread_body& body) noexcept {
    // Guess: the frames from the thread's function to the switch, when the function is simple.
    constexpr std::size_t bytes = 512;
    const auto* const top = reinterpret_cast<const std::byte*>(&body);
    for (std::size_t at = base::cache_line_bytes; at <= bytes; at += base::cache_line_bytes) {
      __builtin_prefetch(top - at);
    }
  }

  // With the lock held. relaxed: others only guess
  void change_armed(int by) noexcept {
    armed.store(armed_about() + static_cast<std::size_t>(by), base::relaxed);
  }

  void set_armed(thread_body& body, base::deadline until) noexcept {
    body.timer_until = until.nanoseconds();
    body.timer.armed = true;
    change_armed(1);
    // relaxed: written under the lock only
    if (wheel.earliest() < earliest.load(base::relaxed)) publish_earliest();
  }

  void publish_earliest() noexcept {
    earliest.store(armed_about() == 0 ? no_deadline : wheel.earliest(), base::seq_cst);
  }

  static thread_body& body_of(base::timer_node& node) noexcept {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
    static_assert(
        offsetof(thread_body, timer_until) + sizeof(std::int64_t) <= base::cache_line_bytes,
        "a timer touches one line of a cold stack");
    return *reinterpret_cast<thread_body*>(reinterpret_cast<std::byte*>(&node) -
                                           offsetof(thread_body, timer));
#pragma GCC diagnostic pop
  }
};

}  // namespace treadle::core
