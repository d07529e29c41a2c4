// task_group: children that end before their group does, and end together when one fails; and
// with_deadline, an end for all waits of a block.
//
// A scope (treadle/scope.hpp) whose children have the group's stop token as their own, so that a
// stop reaches all that they wait for. As there, a child runs at once and the rest of its parent is
// left to whoever is idle.
#pragma once

#include <exception>
#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include "treadle/base/spin_lock.hpp"
#include "treadle/deadline_scope.hpp"
#include "treadle/scope.hpp"

namespace treadle {

// For the thread that made it, which alone may run() and wait(); a child makes a group of its own.
// The group is stopped by the first exception of a child, by request_stop(), and when the own token
// of the thread that made it is stopped. Children see that as this_thread::stop_token(): the calls
// of <treadle/io.hpp> and interruptible sleeps end by it, other waits when they are given it. A
// child that looks at nothing runs to its end.
// Blocks: run() may, as scope::spawn(); wait() and the destructor park until all have ended.
// Happens-before: run() before the child, the child's end before wait() returns.
// Errors: run: std::system_error as thread's constructor, std::bad_alloc. wait() throws the first
// exception of a child, after all have ended, at each call. The destructor stops the group, waits
// and throws nothing: without a wait() before it nobody wants to know.
class task_group {
 public:
  task_group() : source_(this_thread::stop_token()), token_(source_.source().get_token()) {}
  ~task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  // False when the group is stopped already: then the function is not run.
  template <class F>
  bool run(F&& function) {
    static_assert(std::is_invocable_v<std::decay_t<F>>);
    if (stop_requested()) return false;
    children_.spawn(child<std::decay_t<F>>{*this, std::forward<F>(function)});
    return true;
  }
  void wait();

  // By any thread.
  bool request_stop() noexcept { return source_.source().request_stop(); }
  bool stop_requested() const noexcept { return token_.stop_requested(); }
  std::stop_token get_stop_token() const noexcept { return token_; }

  // What children have thrown so far, the first one first. By any thread; complete after wait(),
  // but for those beyond the first for which there was no memory.
  std::vector<std::exception_ptr> errors() const;

 private:
  struct later_error {
    std::exception_ptr error;
    later_error* next;
  };

  template <class F>
  struct child {
    task_group& group;
    F function;
    void operator()() noexcept {
      const detail::own_stop_token own(group.token_);
      try {
        std::invoke(std::move(function));
      } catch (...) {
        group.fail(std::current_exception());
      }
    }
  };

  void fail(std::exception_ptr thrown) noexcept;

  detail::linked_stop_source source_;
  const std::stop_token token_;
  mutable base::spin_lock lock_;
  // Guarded by lock_.
  std::exception_ptr first_;
  later_error* later_ = nullptr;  // the last one first
  // Last, so that it goes first.
  scope children_;
};

}  // namespace treadle
