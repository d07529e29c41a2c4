// What both fiber models share: creation, the switch between threads, park, yield, fork and the
// end of a thread. `Model` decides which ready thread is next and where a ready thread queues.
//
// A thread that stops picks the next one and switches to it directly; only when there is none it
// switches to the worker's idle context. What must wait until the old context is saved (publish
// "parked", queue it, free its stack) travels as the message of the jump and is done on the other
// side, in after_switch(). errno and the C++ exception state are the thread's: kept in its own
// frame while it is stopped. Between threads a worker has no exception under way, so a thread that
// has none either, as nearly all have none, neither saves nor restores any.
//
// Model has: processor& processor_of(worker&), thread* pick(worker&), void ready(worker&,
// thread&) for woken threads, void ready_last(worker&, thread&) for yielding ones,
// void ready_from_outside(thread&), bool push_parent(worker&, thread&), thread*
// pop_parent(worker&).
#pragma once

#include <cstdint>

#include "treadle/sched/fiber_memory.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

template <class Model>
class fiber_scheduler : public scheduler_port {
 public:
  explicit fiber_scheduler(stack_sizes sizes) noexcept
      : memory_(sizes, &fiber_scheduler::thread_main) {}

  int create(const creation& wanted, thread*& made) noexcept final {
    worker& on = core::current_worker();
    fiber_processor* processor = own_processor(on);
    const int error = memory_.create(on, processor, wanted, made);
    if (error != 0) return error;
    made->scheduler = this;
    return 0;
  }

  void discard(thread& unstarted) noexcept final {
    worker& on = core::current_worker();
    memory_.discard(on, own_processor(on), unstarted);
  }

  int spawn(closure_function entry, small_closure closure, thread*& made) noexcept final {
    worker& on = core::current_worker();
    fiber_processor* processor = own_processor(on);
    if (const int error = memory_.create_plain(on, processor, made)) [[unlikely]]
      return error;
    made->scheduler = this;
    made->entry = entry;
    closure.copy_to(made->closure);
    enqueue(on, processor, *made);
    return 0;
  }

  int start(thread& fresh) noexcept final {
    worker& on = core::current_worker();
    enqueue(on, own_processor(on), fresh);
    return 0;
  }

  void reap(thread& finished) noexcept final {
    record_pool::release(core::current_worker().records, finished);
  }

  wake park(wait_reason why, deadline until) noexcept final;
  wake park_until(wait_reason why, deadline until) noexcept;
  void yield() noexcept final;
  [[noreturn]] void exit() noexcept final {
    *current_worker_or_null()->exceptions = exception_globals{};  // a handler may have called us
    end_thread();
  }
  int fork(thread& child, fork_point& point) noexcept final;

  void make_ready(thread& claimed) noexcept final {
    transition(claimed, thread_state::parked, thread_state::ready, wait_reason::none);
    worker* on = current_worker_or_null();
    if (on != nullptr && own_processor(*on) != nullptr) {
      model().ready(*on, claimed);
    } else {
      model().ready_from_outside(claimed);
    }
  }

 protected:
  // What is left to do for the thread that a jump has left; fits below a record's alignment.
  enum class after : std::uintptr_t {
    nothing,
    parked,
    yielded,
    forked,
    ended,
    ended_joined,
    ended_child
  };

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

  fiber_processor* own_processor(worker& on) noexcept {
    return on.scheduler == this ? static_cast<fiber_processor*>(on.processor) : nullptr;
  }

  // From the idle context: runs `next` and what follows it until a thread finds no other.
  void run(worker& on, thread& next) noexcept;
  // The first thing on an idle context that did not start as a kernel thread's own stack.
  void begin_idle(worker& on, std::uintptr_t message) noexcept {
    context::arrive(on.idle_note);
    after_switch(on, message, after::parked);
  }
  // Wakes the sleepers of `timers` whose time has come. True when there were any.
  bool fire(timer_queue& timers, std::int64_t now) noexcept;

  fiber_memory memory_;
  base::atomic<std::uint64_t> started_outside_{0};

 private:
  static std::uintptr_t tag(thread& which, after action) noexcept {
    return reinterpret_cast<std::uintptr_t>(&which) | static_cast<std::uintptr_t>(action);
  }

  context::frame* prepare(worker& on, thread& next) noexcept;
  void switch_away(worker& on, thread& self, thread* next, after action) noexcept;
  void switch_calm(worker& on, thread& self, thread* next, after action) noexcept;
  void switch_while_throwing(worker& on, thread& self, thread* next, after action) noexcept;
  [[noreturn]] void switch_for_ever(worker& on, thread& self, thread* next, after action) noexcept;
  [[noreturn]] void end_thread() noexcept;
  void after_switch(worker& on, std::uintptr_t message, after expected) noexcept;
  void finish_switch(worker& on, thread* left, after action) noexcept;
  void ready_again(worker& on, thread& left) noexcept;
  void finish(worker& on, thread& ended) noexcept;
  thread* end_of_child(worker& on, thread& self) noexcept;
  [[noreturn]] static void thread_main(std::uintptr_t message);
};

}  // namespace treadle::core

#include "treadle/sched/fiber_scheduler_impl.hpp"
