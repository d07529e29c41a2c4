// Tasks: coroutines that run on the processors of a runtime, beside its threads.
//
// A task is a function that returns task<T> and uses co_await, co_return. It has no stack: while it
// waits it is its frame and one cache line, so there may be millions. It runs on carriers, threads
// of the runtime that run nothing else; in a model where each thread is a kernel thread they are as
// many as the CPUs. What a task waits for with co_await (treadle/co.hpp) lets others run; a call
// that parks a thread parks its carrier, and another carrier goes on with the others. Between two
// co_awaits a task stays on one thread; after one it may be on another, so it keeps no lock of a
// thread, no thread_specific and no thread_local over it.
// A task is lazy: it starts when it is awaited, spawned or given to block_on().
#pragma once

#include <coroutine>
#include <optional>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>

#include "treadle/sched/join.hpp"
#include "treadle/task/promise.hpp"
#include "treadle/task/suspension.hpp"
#include "treadle/thread.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

template <class T>
class task;
template <class T>
class task_handle;

namespace detail {

template <class T>
class task_promise final : public tasks::promise_base, public tasks::outcome<T> {
 public:
  task<T> get_return_object() noexcept;
  // The end of a detached task.
  static void end_unjoined(void* frame) noexcept {
    const auto ended = std::coroutine_handle<task_promise>::from_address(frame);
    if (ended.promise().threw()) std::terminate();
    ended.destroy();
  }
};

struct task_access {
  template <class T>
  static std::coroutine_handle<task_promise<T>> release(task<T>& from) noexcept {
    return std::exchange(from.frame_, nullptr);
  }
  template <class T>
  static std::coroutine_handle<task_promise<T>> frame(const task<T>& of) noexcept {
    return of.frame_;
  }
  template <class T>
  static task_handle<T> handle(core::thread& record,
                               std::coroutine_handle<task_promise<T>> frame) noexcept {
    return task_handle<T>(record, frame);
  }
  static tasks::engine& engine_here() {
    tasks::engine* const own = core::current_thread().scheduler->tasks;
    return own != nullptr ? *own : *launch::default_scheduler().tasks;
  }
  // Starts the task, whose frame is then its own; std::system_error as for threads, and then it is
  // still the caller's.
  template <class T>
  static core::thread& start(const task<T>& which, const std::stop_token* stop, tasks::engine& in) {
    core::thread* const record = in.make_record();
    if (record == nullptr) launch::fail(ENOMEM);
    const auto frame = which.frame_;
    try {
      if (stop != nullptr && stop->stop_possible()) {
        record->last_word = reinterpret_cast<std::uintptr_t>(new std::stop_token(*stop));
      }
      record->begin_with(
          [](void* memory) { std::coroutine_handle<>::from_address(memory).resume(); },
          {{reinterpret_cast<std::uintptr_t>(frame.address()), record->last_word}});
      frame.promise().spawn_as(*record);
      if (const int error = in.start(*record)) launch::fail(error);
    } catch (...) {
      delete reinterpret_cast<const std::stop_token*>(record->last_word);
      tasks::engine::free_record(*record);
      throw;
    }
    return *record;
  }
};

}  // namespace detail

// The task itself: owns the coroutine until it is awaited to its end, spawned or run. T may be
// void, a reference, or anything that can be moved.
// co_await std::move(t): starts it at once on the same carrier, and goes on with what it returns,
// or throws what it threw. Once.
// Happens-before: the start before the task, its end before the co_await goes on.
template <class T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task() noexcept = default;
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    task(std::move(other)).swap(*this);
    return *this;
  }
  ~task() {
    if (frame_) frame_.destroy();
  }
  void swap(task& other) noexcept { std::swap(frame_, other.frame_); }
  explicit operator bool() const noexcept { return frame_ != nullptr; }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    bool await_ready() const noexcept { return false; }
    template <tasks::runs_as_task Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) const noexcept {
      frame_.promise().call_from(caller, caller.promise().own_line());
      return tasks::jump_to(frame_);
    }
    T await_resume() const { return frame_.promise().take(); }

   private:
    std::coroutine_handle<promise_type> frame_;
  };
  awaiter operator co_await() && noexcept { return awaiter(frame_); }

 private:
  friend promise_type;
  friend detail::task_access;
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

template <class T>
task<T> detail::task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

namespace tasks {

// Until a record, a thread's or a spawned task's, has ended. The caller frees it.
class wait_for_end : public suspension<wait_for_end> {
 public:
  static constexpr core::wait_reason why = core::wait_reason::join;

  explicit wait_for_end(core::thread& which) noexcept : which_(which) {}
  bool await_ready() const noexcept { return core::has_ended(which_); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    attach(caller);
    if (!which_.completion.become_joiner(self())) return false;
    park();
    return true;
  }
  void await_resume() const noexcept {}
  bool is_over() const noexcept { return core::has_ended(which_); }

 private:
  core::thread& which_;
};

}  // namespace tasks

// A spawned task. To be joined, by co_await or join(), or detached; std::terminate() otherwise.
// Happens-before: the task's end before the join comes back.
template <class T = void>
class [[nodiscard]] task_handle {
 public:
  task_handle() noexcept = default;
  task_handle(task_handle&& other) noexcept
      : record_(std::exchange(other.record_, nullptr)),
        frame_(std::exchange(other.frame_, nullptr)) {}
  task_handle& operator=(task_handle&& other) noexcept {
    if (joinable()) std::terminate();
    record_ = std::exchange(other.record_, nullptr);
    frame_ = std::exchange(other.frame_, nullptr);
    return *this;
  }
  ~task_handle() {
    if (joinable()) std::terminate();
  }

  bool joinable() const noexcept { return record_ != nullptr; }
  bool has_ended() const noexcept { return core::has_ended(*record_); }

  // From a thread, user or kernel: parks it until the task has ended; what it returned or threw.
  T join() {
    core::join_within(*std::exchange(record_, nullptr), {});
    return take();
  }
  // The same within a limit: false when that came first, and the task can still be joined; else
  // the next join() does not wait.
  bool try_wait(const wait_limit& limit) {
    return core::has_ended(*record_) || core::wait_for_end_within(*record_, limit);
  }
  // It runs on, and std::terminate() is called when it throws.
  void detach() noexcept {
    core::thread& record = *std::exchange(record_, nullptr);
    const auto frame = std::exchange(frame_, nullptr);
    if (record.completion.detach()) return;
    record.scheduler->reap(record);
    detail::task_promise<T>::end_unjoined(frame.address());
  }

  // From a task.
  class awaiter : public tasks::wait_for_end {
   public:
    explicit awaiter(task_handle& of) noexcept : wait_for_end(*of.record_), of_(of) {}
    T await_resume() {
      core::thread& record = *std::exchange(of_.record_, nullptr);
      record.scheduler->reap(record);
      return of_.take();
    }

   private:
    task_handle& of_;
  };
  awaiter operator co_await() && noexcept { return awaiter(*this); }

 private:
  friend detail::task_access;
  task_handle(core::thread& record, std::coroutine_handle<detail::task_promise<T>> frame) noexcept
      : record_(&record), frame_(frame) {}

  T take() {
    struct keeper {
      std::coroutine_handle<detail::task_promise<T>> frame;
      ~keeper() { frame.destroy(); }
    } const ended{std::exchange(frame_, nullptr)};
    return ended.frame.promise().take();
  }

  core::thread* record_ = nullptr;
  std::coroutine_handle<detail::task_promise<T>> frame_;
};

// Starts a task on the processors of the caller's runtime, or of the default one. With a token the
// task, and what it awaits, can be asked to stop: see co::stop_token().
// Errors: std::system_error as for threads, std::bad_alloc. Any thread or task.
template <class T>
task_handle<T> spawn(task<T> which, const std::stop_token& stop = {}) {
  core::thread& record =
      detail::task_access::start(which, &stop, detail::task_access::engine_here());
  return detail::task_access::handle<T>(record, detail::task_access::release(which));
}

// From a thread: runs the task on the carriers and parks the caller until it has ended; gives what
// it returns or throws. Errors as spawn(). A foreign kernel thread may call it, too.
template <class T>
T block_on(task<T> which, const std::stop_token& stop = {}) {
  return spawn(std::move(which), stop).join();
}

}  // namespace treadle
