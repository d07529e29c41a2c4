// M:1: every thread on one kernel thread, in the textbook's way: first come, first served, no
// preemption, and a system call that blocks stops them all.
//
// The order of threads depends on nothing but what they do: with no foreign kernel threads about,
// a program runs the same way each time. The one worker is either a kernel thread of its own, or
// the kernel thread that opened the scheduler, whose own flow then is the first thread.
#pragma once

#include <pthread.h>

#include "treadle/base/chain.hpp"
#include "treadle/queue/inject_queue.hpp"
#include "treadle/sched/fiber_scheduler.hpp"
#include "treadle/sched/lone_sleep.hpp"
#include "treadle/sched/wake_ahead.hpp"

namespace treadle::core {

class many_to_one final : public fiber_scheduler<many_to_one> {
 public:
  explicit many_to_one(stack_sizes sizes) noexcept : fiber_scheduler(sizes) {}

  // Starts a kernel thread as the worker; 0 or an errno. Once.
  [[nodiscard]] int open() noexcept;
  // Makes the calling kernel thread, not yet known to the runtime, the worker for its whole life.
  [[nodiscard]] int open_here() noexcept;
  // After open(): waits until every thread has ended, then ends the worker. Not from a thread
  // of ours.
  void close() noexcept;
  // Only waits: until every thread has ended.
  void settle() const noexcept;

  unsigned width() const noexcept final { return 1; }
  scheduler_counters counters() const noexcept final;

 private:
  friend class fiber_scheduler<many_to_one>;

  struct processor : fiber_processor {
    // Owner only.
    base::chain<thread> ready;
    std::int64_t looked = 0;  // when it last looked at the timers, if there were any
    // Fixed after start.
    many_to_one* home = nullptr;
    worker self;
    pthread_t kernel_thread{};
    // Only after open_here(): what the kernel thread's own flow needs as a thread.
    thread_body own_body;
  };

  static processor& of(worker& on) noexcept { return *static_cast<processor*>(on.processor); }
  static processor& of(fiber_processor& mine) noexcept { return static_cast<processor&>(mine); }

  // What fiber_scheduler asks of a model.
  static constexpr bool processors_move = false;
  static constexpr bool wants_idle(worker&) noexcept { return false; }
  static constexpr bool is_alone() noexcept { return true; }
  thread* pick(fiber_processor& here) noexcept { return pick_every(levels_.look_mask(), here); }
  bool is_plain() const noexcept {
    return !levels_in_use.load(base::relaxed);  // relaxed: see scheduler_port
  }
  [[gnu::always_inline]] thread* pick_plain(fiber_processor& here) noexcept {
    return pick_every(look_around_mask, here);
  }
  // Looks around every so many turns.
  [[gnu::always_inline]] thread* pick_every(unsigned mask, fiber_processor& here) noexcept {
    processor& mine = of(here);
    const unsigned turn = mine.tick();
    if ((turn & mask) == 0) [[unlikely]] {
      if (thread* found = look_around(mine, turn)) return found;
    }
    thread* found = mine.ready.pop_front();
    return found != nullptr || injected_.looks_empty() ? found : after_looking_around(mine);
  }
  [[gnu::always_inline]] void queue_plain(fiber_processor& here, thread& which) noexcept {
    of(here).ready.push_back(&which);
  }
  [[gnu::always_inline]] void ready(worker& on, thread& which) noexcept {
    queue_last(of(on), which);
  }
  [[gnu::always_inline]] void queue_last(processor& mine, thread& which) noexcept {
    if (!is_plain() && which.is_levelled()) [[unlikely]]
      return push_to_level(which);
    mine.ready.push_back(&which);
  }
  [[gnu::always_inline]] bool ready_at_once(worker& on, thread& which) noexcept {
    ready(on, which);
    return true;
  }
  static constexpr bool has_room(fiber_processor&) noexcept { return true; }
  [[gnu::always_inline]] void put_last(fiber_processor& here, thread& which) noexcept {
    queue_last(of(here), which);
  }
  void ready_last(worker& on, thread& which) noexcept { ready(on, which); }
  void ready_from_outside(thread& which) noexcept;
  // The parent of a running child is next in any case: the child's end finds it at the front.
  bool push_parent(worker& on, thread& parent) noexcept {
    of(on).ready.push_front(&parent);
    return true;
  }
  thread* pop_parent(worker& on) noexcept { return of(on).ready.pop_front(); }

  void await_recall(std::int64_t until) noexcept;
  thread* look_around(processor& mine, unsigned turn) noexcept;
  void take_due(processor& mine) noexcept;
  void wake() noexcept;
  thread* after_looking_around(processor& mine) noexcept;
  std::int64_t wakes_at(const processor& mine, bool polls) noexcept;
  thread* find_work(processor& mine) noexcept;
  void work(processor& mine) noexcept;
  static void* worker_main(void* argument);
  [[noreturn]] static void idle_main(std::uintptr_t message);
  int prepare_processor() noexcept;

  processor* processor_ = nullptr;
  queue::inject_queue<thread> injected_;
  lone_sleep sleep_;
  wake_ahead wake_ahead_{base::timer_slack_nanoseconds()};
  base::atomic<bool> closing_{false};
};

}  // namespace treadle::core
