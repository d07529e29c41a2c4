// The promise of a task: who goes on at its end, for which line it runs, and its outcome.
//
// A task starts when it is awaited, by a jump into it, and ends with a jump to whoever awaits it:
// neither goes through a queue or grows the stack. Compilers only promise such jumps where they
// optimise; elsewhere the carrier makes them, from its own loop.
// A frame may be freed by whoever its task's end makes ready: so the end of a spawned task, as each
// park, is published by the carrier when the coroutine has come back to it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "treadle/base/biased.hpp"
#include "treadle/task/countdown.hpp"
#include "treadle/task/frames.hpp"
#include "treadle/task/line.hpp"

// Sanitizers do not keep tail calls, nor does -O1 or -Og.
#if !defined(NDEBUG) || !defined(__OPTIMIZE__) || defined(TREADLE_SANITIZED)
#define TREADLE_TASKS_JUMP_BY_CARRIER 1
#endif

namespace treadle::tasks {

// For await_suspend(): goes on with `next`.
inline std::coroutine_handle<> jump_to(std::coroutine_handle<> next) noexcept {
#if defined(TREADLE_TASKS_JUMP_BY_CARRIER)
  engine::resume_next(next.address());
  return std::noop_coroutine();
#else
  return next;
#endif
}

// Children that run while their parent waits for all of them.
struct fork_group : fork_setting {
  basic_countdown<base::biased<std::uint64_t>> running;
  void* parent;  // its frame

  // One of them has ended: who goes on here.
  std::coroutine_handle<> leave() noexcept {
    // The last touch of the group and of the child, unless it was the last one.
    void* const next = running.leave() ? parent : engine::take_fork();
    if (next == nullptr) return std::noop_coroutine();
    return jump_to(std::coroutine_handle<>::from_address(next));
  }
};

class promise_base {
 public:
  static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { free_frame(frame, bytes); }

  struct at_end {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      Promise& mine = ended.promise();
      const std::uintptr_t next = mine.next_;
      if ((next & tags) == 0) [[likely]]
        return jump_to(std::coroutine_handle<>::from_address(reinterpret_cast<void*>(next)));
      if ((next & tags) == is_fork) return reinterpret_cast<fork_group*>(next & ~tags)->leave();
      mine.end_spawned(&Promise::end_unjoined, ended.address());
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  at_end final_suspend() const noexcept { return {}; }

  // Before the task starts, one of these. It is awaited,
  void call_from(std::coroutine_handle<> caller, line of) noexcept {
    next_ = reinterpret_cast<std::uintptr_t>(caller.address());
    line_ = of;
  }
  // or one of several,
  void fork_in(fork_group& group, fork_line& child) noexcept {
    next_ = reinterpret_cast<std::uintptr_t>(&group) | is_fork;
    line_ = line(child);
  }
  // or spawned.
  void spawn_as(core::thread& record) noexcept {
    next_ = is_spawned;
    line_ = line(record);
  }

  const line& own_line() const noexcept { return line_; }

 private:
  enum : std::uintptr_t { is_fork = 1, is_spawned = 2, tags = 3 };

  // Not inlined: the other ends would save its registers.
  [[gnu::noinline]] void end_spawned(core::closure_function end_unjoined, void* frame) noexcept {
    core::thread& record = line_.record();
    delete line_.stop();
    record.begin_with(end_unjoined, {{reinterpret_cast<std::uintptr_t>(frame), 0}});
    engine::end_task(record);
  }

  std::uintptr_t next_ = 0;
  line line_;
};

// What a task has come to.
template <class T>
class outcome {
 public:
  outcome() noexcept {}
  ~outcome() {
    if (state_ == has_value) std::destroy_at(&value_);
    if (state_ == has_thrown) std::destroy_at(&thrown_);
  }
  outcome(const outcome&) = delete;
  outcome& operator=(const outcome&) = delete;

  template <class U>
  requires std::is_constructible_v<T, U>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
    ::new (static_cast<void*>(&value_)) T(std::forward<U>(value));
    state_ = has_value;
  }
  void unhandled_exception() noexcept {
    ::new (static_cast<void*>(&thrown_)) std::exception_ptr(std::current_exception());
    state_ = has_thrown;
  }
  T take() {
    if (state_ == has_thrown) std::rethrow_exception(std::move(thrown_));
    return std::move(value_);
  }
  bool threw() const noexcept { return state_ == has_thrown; }

 private:
  enum : std::uint8_t { nothing, has_value, has_thrown };

  union {
    T value_;
    std::exception_ptr thrown_;
  };
  std::uint8_t state_ = nothing;
};

template <class T>
class outcome<T&> {
 public:
  void return_value(T& value) noexcept { value_ = &value; }
  void unhandled_exception() noexcept { thrown_ = std::current_exception(); }
  T& take() {
    if (thrown_) std::rethrow_exception(std::move(thrown_));
    return *value_;
  }
  bool threw() const noexcept { return thrown_ != nullptr; }

 private:
  T* value_ = nullptr;
  std::exception_ptr thrown_;
};

template <>
class outcome<void> {
 public:
  void return_void() noexcept {}
  void unhandled_exception() noexcept { thrown_ = std::current_exception(); }
  void take() {
    if (thrown_) std::rethrow_exception(std::move(thrown_));
  }
  bool threw() const noexcept { return thrown_ != nullptr; }

 private:
  std::exception_ptr thrown_;
};

// A coroutine that a task may be: its handle can be asked for the line it runs for.
template <class Promise>
concept runs_as_task = std::is_base_of_v<promise_base, Promise>;

}  // namespace treadle::tasks
