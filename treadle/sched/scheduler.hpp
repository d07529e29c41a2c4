// The narrow waist: what a threading model must offer, and nothing that needs to know which.
//
// A thread object carries its scheduler; every blocking thing is park, every wake-up unpark. The
// rules that all models keep:
//   one token at most; an unpark before the park is not lost; on a tie with a time-out the token
//   wins; park may return for no reason, callers loop on their own condition;
//   "parked" is published only after the context is saved.
// So no primitive needs a commit callback: try the fast path - queue the own node - release - park
// until granted - on time-out leave the queue unless granted.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "treadle/base/clock.hpp"
#include "treadle/base/futex.hpp"
#include "treadle/sched/poller.hpp"
#include "treadle/thread/body.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::tasks {
class engine;
class carrier;
}  // namespace treadle::tasks

namespace treadle::core {

using base::deadline;

enum class [[nodiscard]] wake{token, timed_out};

// What a new thread is to be like. Sizes are in bytes; 0 is the scheduler's default.
struct creation {
  std::size_t stack_bytes = 0;
  std::string_view name;
  // Memory for the closure that does not fit into the record, on the new thread's own stack.
  std::size_t closure_bytes = 0;
  bool bind_now = false;  // have the stack at once: for names, sizes and forks
};

// What fork() leaves behind in the parent's frame. Source of the counting: Schmaus et al.,
// "Nowa: a wait-free continuation-stealing concurrency platform", IPDPS'21.
struct fork_point {
  // Fixed after start.
  thread* parent = nullptr;
  const std::stop_token* stop = nullptr;  // the children's own; outlives them
  // The child whose end still finds the parent where fork() left it; null when it did, or while
  // there is none. Written by the parent before it forks, by that child when it resumes the
  // parent directly: never at the same time.
  thread* youngest = nullptr;
  // Parent only: children that had not ended when the parent went on.
  std::int64_t left_behind = 0;
  // Atomic: minus the left-behind children that have ended; the parent adds left_behind when it
  // joins, so the child that makes it zero after that is the last one.
  base::atomic<std::int64_t> outstanding{0};
};

struct scheduler_counters {
  std::uint64_t threads_started = 0;
  std::uint64_t threads_finished = 0;
  std::uint64_t steals = 0;          // successful visits of thieves
  std::uint64_t stolen_threads = 0;  // threads that they took
  std::uint64_t wakeups = 0;         // sleeping workers woken
  std::uint64_t sleeps = 0;          // times that a worker went to sleep
  std::uint64_t preemptions = 0;     // threads stopped for having computed too long
  std::uint64_t reliefs = 0;         // processors taken from, or let go for, a worker found blocked
};

template <class S>
concept scheduler = requires(S& s, thread& t, deadline until, wait_reason why, fork_point& point) {
  { s.start(t) }
  noexcept;  // fresh -> ready
  { s.park(why, until) }
  noexcept->std::same_as<wake>;
  { s.unpark(t) }
  noexcept;  // any kernel thread; sticky, idempotent
  { s.yield() }
  noexcept;
  { s.exit() }
  noexcept;
  { s.fork(t, point) }
  noexcept;  // run the child at once, if it can be
};

// The same with late binding, so that models can mix in one process.
class scheduler_port {
 public:
  scheduler_port() = default;
  scheduler_port(const scheduler_port&) = delete;
  scheduler_port& operator=(const scheduler_port&) = delete;

  // A record in state fresh, with stack memory promised; the error is 0 or an errno. The caller
  // fills in entry and closure and calls start(), fork() or discard().
  [[nodiscard]] virtual int create(const creation& wanted, thread*& made) noexcept = 0;
  virtual void discard(thread& unstarted) noexcept = 0;

  // create() and start() in one, for a thread with nothing special about it. Null with an error as
  // of either; then nothing was made.
  [[nodiscard]] virtual thread* spawn(closure_function entry, small_closure closure,
                                      int& error) noexcept = 0;

  // Model 1:1 may fail to start (an errno; the thread is then still fresh); others do not.
  [[nodiscard]] virtual int start(thread& fresh) noexcept = 0;
  virtual wake park(wait_reason why, deadline until) noexcept = 0;
  // Parks the caller, a thread of this scheduler, until `flag`, which its setter sets before it
  // unparks. Does not look before it parks: the caller has not parked since the setter could know
  // of it, or has looked itself, for such a park uses up the token that comes with the flag.
  virtual void park_until_set(thread& self, const base::atomic<bool>& flag,
                              wait_reason why) noexcept = 0;
  // For whoever has just claimed a parked thread. Kernel threads are woken through their futex.
  virtual void make_ready([[maybe_unused]] thread& claimed) noexcept {
    TREADLE_CHECK(false, "a kernel thread cannot be claimed");
  }
  virtual void yield() noexcept = 0;
  [[noreturn]] virtual void exit() noexcept = 0;
  // Starts a scope's child; comes back when the child has ended or the parent was taken on
  // elsewhere. Errors as start().
  [[nodiscard]] virtual int fork(thread& child, fork_point& point) noexcept = 0;
  // create() and fork() in one. The error is as of either; then nothing was made.
  [[nodiscard]] virtual int spawn_child(closure_function entry, const child_closure& closure,
                                        fork_point& point) noexcept {
    creation wanted;
    wanted.bind_now = true;
    thread* made = nullptr;
    if (const int error = create(wanted, made)) return error;
    made->body->entry = entry;
    closure.copy_to(made->body->inline_closure);
    const int error = fork(*made, point);
    if (error != 0) discard(*made);
    return error;
  }

  // Around a call that may block the kernel thread: meanwhile others run, where the model can do
  // that. By the thread itself, in pairs; in between it may do anything, also park.
  virtual void enter_blocking() noexcept {}
  virtual void leave_blocking() noexcept {}

  // For calls that mostly do not block, as a read of what is in memory, and cost more where they
  // are told not to: whether one may be made plainly, because whoever it does keep waiting will be
  // seen to, and nobody had to be for a while.
  virtual bool lets_block() noexcept { return false; }
  // Such a call would have blocked: the next ones here had better be told not to.
  virtual void note_would_block() noexcept {}

  // Parks the caller, a thread of this scheduler, until `which` has ended, and frees it.
  virtual void join(thread& which) noexcept = 0;
  // Frees a thread that has ended and that nobody else refers to. May wait for its kernel thread.
  virtual void reap(thread& finished) noexcept = 0;

  // What a thread of this scheduler lends and has been lent. With the lock of all loans held.
  virtual thread_loans& loans_of(thread& which) noexcept { return which.body->loans; }
  // Changes the level of a thread of this scheduler, also one that is ready in a queue. With the
  // lock of all loans held. 0, or the errno with which the kernel refused.
  virtual int set_level(thread& which, thread_level wanted) noexcept = 0;
  // From now on some threads are not of the usual level, or hold inheriting mutexes.
  virtual void use_levels() noexcept { levels_in_use.store(true, base::relaxed); }

  virtual unsigned width() const noexcept = 0;
  virtual scheduler_counters counters() const noexcept = 0;

  // Any kernel thread, for any thread. The scheduler is read only once the thread is claimed:
  // a record that was reused meanwhile may belong to another one.
  [[gnu::always_inline]] static void unpark(thread& which) noexcept {
    if (which.permit.claim_if_alone()) [[likely]] {
      which.scheduler->make_ready(which);
    } else {
      unpark_slowly(which);
    }
  }
  [[gnu::noinline]] static void unpark_slowly(thread& which) noexcept {
    bool asleep = false;
    if (which.permit.unpark(&asleep)) {
      which.scheduler->make_ready(which);
    } else if (asleep) {
      // The record is never unmapped, so a wake that comes late is a stray one.
      base::futex_wake(which.permit.word().word());
    }
  }

  // Set once. relaxed: a thread that is queued without a look goes with the usual ones, once.
  base::atomic<bool> levels_in_use{false};

  // Fixed after start, null for foreign kernel threads: the runtime object that it belongs to, and
  // the scheduler of that runtime in which its threads start others.
  void* owner = nullptr;
  scheduler_port* for_children = nullptr;
  // Fixed after start; null where a thread that waits for a descriptor blocks its kernel thread.
  poller* events = nullptr;
  // Fixed after start, null for foreign kernel threads: what runs the tasks of that runtime. And of
  // the threads that do it the port through which each of them parks (treadle/task).
  tasks::engine* tasks = nullptr;
  tasks::carrier* carrier = nullptr;

 protected:
  ~scheduler_port() = default;
};

}  // namespace treadle::core
