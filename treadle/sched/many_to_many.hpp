// M:N: processors with run queues, workers that run them, work stealing.
//
// A processor's ready threads are, in the order that they are looked at: the next slot (just
// woken here), the ring, the fork deque (parents of running children), the inject queue for all,
// timers. A worker without work becomes a thief: takes half of another's ring, or the oldest fork
// continuation, or a single thread that nobody has run for a while.
// Width is the number of processors; each has one worker here: a worker that blocks in a system
// call blocks its processor, and no thread is preempted.
// Rejected: one shared queue (every switch contends), stealing of a lone fresh thread (it would
// have run on its own processor before the theft is over, and its cache lines travel for nothing).
#pragma once

#include <pthread.h>

#include <cstdint>

#include "treadle/queue/fork_deque.hpp"
#include "treadle/queue/inject_queue.hpp"
#include "treadle/queue/next_slot.hpp"
#include "treadle/queue/steal_ring.hpp"
#include "treadle/sched/fiber_scheduler.hpp"
#include "treadle/sched/idle_workers.hpp"

namespace treadle::core {

class many_to_many final : public fiber_scheduler<many_to_many> {
 public:
  many_to_many(unsigned width, stack_sizes sizes) noexcept;
  ~many_to_many();

  // Starts the workers; 0 or an errno, after which nothing runs. Once.
  [[nodiscard]] int open() noexcept;
  // Waits until every thread has ended, then ends the workers. Not from a thread of ours.
  void close() noexcept;
  // Only waits: until every thread has ended.
  void settle() const noexcept;

  unsigned width() const noexcept final { return width_; }
  scheduler_counters counters() const noexcept final;

 private:
  friend class fiber_scheduler<many_to_many>;

  // A processor on which a thief has seen a lone ready thread at every look since.
  struct sighting {
    static constexpr std::uint32_t nobody = ~std::uint32_t{0};
    std::uint32_t victim = nobody;
    std::uint32_t looks = 0;
    std::int64_t since = 0;
  };

  struct idle_times {
    std::int64_t rest = 0;       // how long to sleep before looking for work; mostly 0
    std::int64_t last_rest = 0;  // the last one, if it was the last time that this was idle
  };

  struct processor : fiber_processor {
    // Shared with thieves.
    queue::next_slot<thread> next;
    queue::steal_ring<thread, 256> ring;      // sourced: the size that Go and Tokio use
    queue::fork_deque<thread, 1024> parents;  // guess: fork depth per processor
    // Owner only.
    sighting seen;
    idle_times idle;
    std::uint32_t random = 1;
    // Fixed after start.
    std::uint32_t index = 0;
    many_to_many* home = nullptr;
    worker self;
    pthread_t kernel_thread{};
  };

  static processor& of(worker& on) noexcept { return *static_cast<processor*>(on.processor); }

  // What fiber_scheduler asks of a model.
  // The paths of a lone processor are inlined into the switch; with thieves about, their atomics
  // outweigh a call.
  [[gnu::always_inline]] thread* pick(worker& on) noexcept {
    processor& mine = of(on);
    if ((++mine.ticks & look_around_mask) == 0) [[unlikely]]
      return look_around(mine);
    if (alone_) [[likely]]
      return pick_alone(mine);
    return pick_local(mine);
  }
  // A woken thread: it is likely to be what this processor should run next.
  [[gnu::always_inline]] void ready(worker& on, thread& which) noexcept {
    processor& mine = of(on);
    if (!alone_) [[unlikely]]
      return ready_shared(mine, which);
    if (thread* displaced = mine.next.put_alone(&which)) queue_last(mine, *displaced);
  }
  [[gnu::always_inline]] void ready_last(worker& on, thread& which) noexcept {
    processor& mine = of(on);
    if (!alone_) [[unlikely]]
      return ready_last_shared(mine, which);
    queue_last(mine, which);
  }
  void ready_from_outside(thread& which) noexcept;
  bool push_parent(worker& on, thread& parent) noexcept {
    if (!of(on).parents.push(&parent)) [[unlikely]]
      return false;
    // A lone continuation is taken back within nanoseconds mostly; a dozer will see a lasting one.
    if (!alone_) offer(false);
    return true;
  }
  thread* pop_parent(worker& on) noexcept {
    return alone_ ? of(on).parents.pop_alone() : of(on).parents.pop();
  }

  [[gnu::always_inline]] thread* pick_alone(processor& mine) noexcept {
    thread* found = mine.next.take_alone();
    if (found == nullptr) found = mine.ring.pop_alone();
    return found != nullptr ? found : pick_rarely(mine);
  }
  [[gnu::always_inline]] void queue_last(processor& mine, thread& which) noexcept {
    if (!mine.ring.push(&which)) [[unlikely]]
      overflow(mine, which);
  }
  thread* pick_local(processor& mine) noexcept;
  void ready_shared(processor& mine, thread& which) noexcept;
  void ready_last_shared(processor& mine, thread& which) noexcept;
  thread* pick_rarely(processor& mine) noexcept;
  thread* look_around(processor& mine) noexcept;
  thread* take_injected(processor& mine) noexcept;
  void overflow(processor& mine, thread& last) noexcept;
  // After queueing something here: is it worth waking somebody? `surplus` says that this
  // processor has more than it can run next.
  void offer(bool surplus) noexcept {
    if (idle_.anybody_spins() || !idle_.anybody_waits_for_surplus()) [[likely]]
      return;
    if (!surplus && idle_.anybody_dozes()) return;
    idle_.wake_one(false);
  }

  void end_workers(unsigned started) noexcept;

  // The idle side (many_to_many_idle.cpp).
  static void* worker_main(void* argument);
  void work(processor& mine) noexcept;
  thread* find_work(processor& mine) noexcept;
  thread* look_everywhere(processor& mine) noexcept;
  thread* steal_from(processor& mine, processor& victim, std::int64_t now) noexcept;
  thread* steal_lone(processor& mine, processor& victim, std::int64_t now) noexcept;
  enum class outlook { nothing, perhaps, work };
  outlook look_from_afar(processor& mine, std::int64_t now) noexcept;
  outlook watch(processor& mine, processor& victim, std::int64_t now) noexcept;
  thread* spin(processor& mine, base::absence& away) noexcept;
  bool nap(processor& mine, std::int64_t& doze, base::absence& away) noexcept;
  void judge(processor& mine) noexcept;
  deadline earliest_timer() const noexcept;

  // Sourced: Go looks at its global queue every 61 threads; a power of two is cheaper. It is also
  // how many turns a pair that hands over to each other gets at most before the ring's head.
  static constexpr unsigned look_around_mask = 63;

  const unsigned width_;
  const bool alone_;  // one processor: no thief exists
  processor* processors_ = nullptr;
  queue::inject_queue<thread> injected_;
  idle_workers idle_;
  base::atomic<bool> closing_{false};
};

}  // namespace treadle::core
