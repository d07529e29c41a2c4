// What both fiber models share: creation, the switch between threads, park, yield, fork and the
// end of a thread. `Model` decides which ready thread is next and where a ready thread queues.
//
// A thread that stops picks the next one and switches to it directly; only when there is none it
// switches to the worker's idle context. What must wait until the old context is saved (publish
// "parked", queue it, free its stack) travels as the message of the jump and is done on the other
// side, in after_switch(). With one processor nothing must wait: see stop_running(). errno and the
// C++ exception state are the thread's: kept in its own frame while it is stopped. Between threads
// a worker has no exception under way, so a thread that has none either, as nearly all have none,
// neither saves nor restores any.
//
// Where processors move, a worker may lose its own when it is outside the scheduler (claim.hpp), so
// every call announces itself, then looks: `stay` for calls that come back without a switch,
// enter() and leave() around a switch. A worker without a processor is a guest
// (fiber_guest_impl.hpp): it queues threads as a foreign kernel thread does.
//
// Threads of other levels than the usual one wait in one queue (level_turns.hpp), which the models
// look at first.
//
// Model has: pick(processor&); ready() for woken threads, ready_last() for yielding ones and
// ready_from_outside(); push_parent() and pop_parent(); wants_idle(worker&); is_alone(), which
// says that only the worker that is inside runs what is ready; is_plain(), which says so, too, and
// that all threads are of the usual level: asked once, and pick_plain() and queue_plain() then do
// without further questions; await_recall(until), which wakes the processors that sleep after
// fiber_memory::recall() and waits for their answers; processors_move, and where that is true
// has_processor(worker&), regain(worker&) and arm_as_guest(thread_body&, until, now).
#pragma once

#include <cstdint>

#include "treadle/base/indirect_return.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/fiber_memory.hpp"
#include "treadle/sched/join.hpp"
#include "treadle/sched/level_turns.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

template <class Model>
class fiber_scheduler : public scheduler_port {
 public:
  explicit fiber_scheduler(stack_sizes sizes) noexcept
      : memory_(sizes, &fiber_scheduler::thread_main), levels_(look_around_mask, turns_share - 1) {}

  int set_level(thread& which, thread_level wanted) noexcept final {
    model().use_levels();
    levels_.change(
        &which, [&which]() noexcept { return queue_level(which); },
        // relaxed: see thread::is_levelled()
        [&]() noexcept { which.level.store(wanted, base::relaxed); });
    return 0;
  }

  int create(const creation& wanted, thread*& made) noexcept final {
    worker& on = core::current_worker();
    const stay here(*this, on);
    const int error = make_with_recall(here.processor, [&]() noexcept {
      return memory_.create(on, here.processor, wanted, made);
    });
    if (error != 0) return error;
    made->scheduler = this;
    return 0;
  }

  void discard(thread& unstarted) noexcept final {
    worker& on = core::current_worker();
    const stay here(*this, on);
    memory_.discard(on, here.processor, unstarted);
  }

  thread* spawn(closure_function entry, small_closure closure, int& error) noexcept final {
    worker* on = current_worker_or_null();
    if (on != nullptr && on->scheduler == this) [[likely]] {
      if (thread* made = spawn_at_once(*on, entry, closure)) [[likely]]
        return made;
    }
    return spawn_slowly(entry, closure, error);
  }

  int start(thread& fresh) noexcept final {
    worker& on = core::current_worker();
    const stay here(*this, on);
    enqueue(on, here.processor, fresh);
    return 0;
  }

  void reap(thread& finished) noexcept final {
    record_pool::release(core::current_worker().records, finished);
  }

  void join(thread& which) noexcept final;
  wake park(wait_reason why, deadline until) noexcept final;
  wake park_until(wait_reason why, deadline until) noexcept;
  void park_until_set(thread& self, const base::atomic<bool>& flag, wait_reason why) noexcept final;
  TREADLE_INDIRECT_RETURN void yield() noexcept final;
  [[noreturn]] void exit() noexcept final {
    *current_worker_or_null()->exceptions = exception_globals{};  // a handler may have called us
    end_read_sections(*current_thread_or_null());
    end_thread(current_access(), *current_thread_or_null());
    __builtin_unreachable();
  }
  int fork(thread& child, fork_point& point) noexcept final;
  int spawn_child(closure_function entry, const child_closure& closure,
                  fork_point& point) noexcept final;

  void make_ready(thread& claimed) noexcept final {
    transition(claimed, thread_state::parked, thread_state::ready, wait_reason::none);
    worker* on = current_worker_or_null();
    if (on == nullptr || on->scheduler != this || !model().ready_at_once(*on, claimed)) [[unlikely]]
      make_ready_slowly(claimed);
  }

 protected:
  // What is left to do for the thread that a jump has left; fits below a record's alignment.
  enum class after : std::uintptr_t {
    nothing,  // of no thread
    parked,
    yielded,
    forked,
    ended,
    ended_joined,
    ended_child
  };

  // Sourced: Go looks at its global queue every 61 threads; a power of two is cheaper. It is also
  // how many turns a pair that hands over to each other gets at most before the ring's head.
  static constexpr unsigned look_around_mask = 63;

  static constexpr std::uintptr_t action_mask = alignof(thread) - 1;

  Model& model() noexcept { return static_cast<Model&>(*this); }

  void enqueue(worker& on, fiber_processor* processor, thread& fresh) noexcept {
    transition(fresh, thread_state::fresh, thread_state::ready, wait_reason::started);
    if (processor != nullptr) [[likely]] {
      processor->started.add(1);
      model().ready_last(on, fresh);
    } else {
      started_outside_.fetch_add(1, base::relaxed);  // relaxed: a statistic
      model().ready_from_outside(fresh);
    }
  }

  // One of our workers, from a thread, announces itself. False when it must ask about its processor
  // by enter() or a stay.
  [[nodiscard, gnu::always_inline]] static bool enter_at_once(worker& on) noexcept {
    if constexpr (Model::processors_move) {
      announce(on);
      return processor_of(on).claim.is_held_by(on.number);
    }
    return true;
  }
  // One of our workers announces itself. False when its processor is another worker's by now.
  [[nodiscard, gnu::always_inline]] bool enter(worker& on) noexcept {
    if constexpr (Model::processors_move) {
      announce(on);
      return static_cast<fiber_processor*>(on.processor)->claim.is_held_by(on.number) ||
             model().regain(on);
    }
    return true;
  }
  [[gnu::always_inline]] static void announce(worker& on) noexcept {
    on.inside.store(1, base::relaxed);  // relaxed: the taker's heavy fence orders it
    base::compiler_fence();
  }
  [[gnu::always_inline]] static void leave(worker& on) noexcept {
    // release: pairs with the taker's look; what we did to the processor is its to see
    if constexpr (Model::processors_move) on.inside.store(0, base::release);
  }

  // For calls that may also come from elsewhere, or from inside. `processor` is null when the
  // worker has none of ours.
  class [[nodiscard]] stay {
   public:
    [[gnu::always_inline]] stay(fiber_scheduler& home, worker& on) noexcept {
      if (on.scheduler != &home) [[unlikely]]
        return;
      if constexpr (Model::processors_move) {
        on_ = &on;
        before_ = on.inside.load(base::relaxed);  // relaxed: our own
      }
      if (home.enter(on)) [[likely]]
        processor = static_cast<fiber_processor*>(on.processor);
    }
    [[gnu::always_inline]] ~stay() {
      if constexpr (Model::processors_move) {
        if (on_ != nullptr) [[likely]]
          on_->inside.store(before_, base::release);  // as in leave()
      }
    }
    stay(const stay&) = delete;
    stay& operator=(const stay&) = delete;

    fiber_processor* processor = nullptr;

   private:
    worker* on_ = nullptr;
    std::uint32_t before_ = 0;
  };

  static fiber_processor& processor_of(worker& on) noexcept {
    return *static_cast<fiber_processor*>(on.processor);
  }

  // The thread on this worker, which has none of our processors, queues for one and goes on there.
  void move_to_processor(worker& on) noexcept;

  // From the idle context: runs `next` and what follows it until a thread finds no other.
  void run(worker& on, thread& next) noexcept;
  // The first thing on an idle context that did not start as a kernel thread's own stack.
  void begin_idle(worker& on, std::uintptr_t message) noexcept {
    context::arrive(on.idle_note);
    after_switch(on, message, after::parked);
  }
  // Wakes the sleepers of `timers` whose time has come; says how many.
  std::size_t fire(timer_queue& timers, std::int64_t now) noexcept;

  // For kernel threads of others, who may still be here when the claimed thread, and with it the
  // last work of the runtime, has ended.
  void bring_in(thread& claimed) noexcept {
    // relaxed: the claimed thread cannot end before it has been queued, after this
    outside_wakers_.fetch_add(1, base::relaxed);
    model().ready_from_outside(claimed);
    // release: pairs with wait_for_outside_wakers(); the last touch of the scheduler
    outside_wakers_.fetch_sub(1, base::release);
  }
  // When no thread is left: whoever woke the last ones may still be on his way out of here.
  void wait_for_outside_wakers() const noexcept {
    base::spin_pause pause;
    while (outside_wakers_.load(base::acquire) != 0) pause.once();  // pairs with bring_in()
  }

  void push_to_level(thread& which) noexcept {
    levels_.push(&which, [&which]() noexcept { return queue_level(which); });
  }

  fiber_memory memory_;
  thread_levels levels_;
  base::atomic<std::uint64_t> started_outside_{0};
  base::atomic<std::uint64_t> finished_outside_{0};
  base::atomic<std::uint32_t> outside_wakers_{0};  // in bring_in()

 private:
  static std::uintptr_t tag(thread& which, after action) noexcept {
    return reinterpret_cast<std::uintptr_t>(&which) | static_cast<std::uintptr_t>(action);
  }

  context::resume_point prepare(current_access here, worker& on, thread& next) noexcept;
  context::resume_point prepare_bound(current_access here, thread& next) noexcept;
  static bool is_calm(current_access here, const worker& on) noexcept {
    // One test for all three words.
    return here.with_read_sections(reinterpret_cast<std::uintptr_t>(on.exceptions->caught) |
                                   on.exceptions->uncaught) == 0;
  }
  // The parent went on before its youngest child had ended. Forgotten, or that child would take a
  // parent that it finds in the deque for one that waits there since its own fork, and not a later.
  static void leave_behind(fork_point& point) noexcept {
    point.youngest = nullptr;
    ++point.left_behind;
  }
  void yield_anyhow(worker& on) noexcept;
  void yield_by_level(worker& on) noexcept;
  bool keeps_turn(worker& on, const thread& self) noexcept;
  void park_here(thread& self, wait_reason why, after expected) noexcept;
  // `expected`: what the one has most likely left to do who makes us come back.
  std::uintptr_t stop_running(worker& on, thread& self, after action) noexcept;
  void switch_away(current_access here, worker& on, thread& self, thread* next,
                   std::uintptr_t message, after expected) noexcept;
  void switch_calm(current_access here, worker& on, thread& self, thread* next,
                   std::uintptr_t message, after expected) noexcept;
  void switch_with_baggage(worker& on, thread& self, thread* next, std::uintptr_t message,
                           after expected) noexcept;
  [[noreturn]] void switch_for_ever(worker& on, thread* next, std::uintptr_t message) noexcept;
  void after_switch(worker& on, std::uintptr_t message, after expected) noexcept;
  void after_any_switch(worker& on, std::uintptr_t message) noexcept;
  void finish_switch(worker& on, thread* left, after action) noexcept;
  thread* spawn_at_once(worker& on, closure_function entry, small_closure closure) noexcept;
  template <class Make>
  int make_with_recall(fiber_processor* processor, Make&& make) noexcept;
  thread* spawn_slowly(closure_function entry, small_closure closure, int& error) noexcept;
  void make_ready_slowly(thread& claimed) noexcept;
  worker& lend_to(current_access here, worker& on, thread& self, thread& which) noexcept;
  worker& start_from(current_access here, worker& on, thread& self, thread& fresh) noexcept;
  void join_by_permit(thread& which) noexcept;
  void park_again_until_set(const base::atomic<bool>& flag, wait_reason why) noexcept;
  void ready_again(worker& on, thread& left) noexcept;
  void publish_parent(worker& on, thread& parent) noexcept;

  void finish(worker& on, thread& ended) noexcept;
  void retire(worker& on, fiber_processor& here, thread& ended, after action) noexcept;
  void publish_end(worker& on, thread& ended) noexcept;
  thread* end_of_child(thread& self, thread* popped) noexcept;
  // These two do not return either, but are left by a jump (fiber_end_impl.hpp).
  void end_thread(current_access here, thread& self) noexcept;
  void end_for_anybody(worker& on, thread& self, completion::seen waiting) noexcept;
  [[noreturn]] void end_as_guest_or_later(worker& on, thread& self) noexcept;
  [[noreturn]] void end_late_child() noexcept;
  [[noreturn]] void end_slowly(worker& on, thread& next, std::uintptr_t message) noexcept;
  [[noreturn]] void end_child(current_access here, thread& self) noexcept;
  [[noreturn]] void end_child_inside(current_access here, worker& on, thread& self) noexcept;
  [[noreturn]] void end_child_as_guest_or_later(worker& on, thread& self) noexcept;
  [[noreturn]] void end_child_slowly(worker& on, thread& self, thread* popped) noexcept;
  [[noreturn]] void end_for(current_access here, worker& on, thread& self, thread& next,
                            after action) noexcept;

  // On a worker without a processor (fiber_guest_impl.hpp).
  void park_as_guest(worker& on, thread& self, wait_reason why) noexcept;
  void after_switch_as_guest(worker& on, std::uintptr_t message) noexcept;
  [[noreturn]] void end_as_guest(worker& on, thread& self) noexcept;
  static void thread_main(std::uintptr_t message);
  [[noreturn]] static void child_main(std::uintptr_t parent);
  static void start_slowly(std::uintptr_t message);
  static void run_thread(current_access here);
  static void clear_up_and_end();
  [[noreturn]] static void clear_up_and_end_child();
  static bool leaves_something(current_access here, const thread& self) noexcept;
  static void clear_up(thread& self);
};

}  // namespace treadle::core

#include "treadle/sched/fiber_end_impl.hpp"
#include "treadle/sched/fiber_guest_impl.hpp"
#include "treadle/sched/fiber_join_impl.hpp"
#include "treadle/sched/fiber_start_impl.hpp"
#include "treadle/sched/fiber_switch_impl.hpp"
#include "treadle/sched/fiber_wait_impl.hpp"
#include "treadle/sched/fiber_yield_impl.hpp"
