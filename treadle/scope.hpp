// Structured fork-join: children that end before their scope does.
//
// spawn() runs the child at once, on a warm stack, and leaves the rest of the parent to whoever is
// idle; when nobody is, parent and children run in exactly the order of a serial program, and the
// memory needed is that of the recursion's depth. In model 1:1 each child is a kernel thread.
// Source: Blumofe and Leiserson, "Scheduling multithreaded computations by work stealing", 1999.
#pragma once

#include <exception>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/thread.hpp"
#include "treadle/thread/body.hpp"

namespace treadle {

// spawn() and join() are for the thread that made the scope, which may go on on another worker.
// Happens-before: spawn() before the child, the child's end before join() returns.
// Errors: spawn: std::system_error as thread's constructor. join() throws the first exception that
// a child ended with, after all children have ended; the destructor joins, and throws it too
// unless it runs because of another exception.
class scope {
 public:
  scope();
  ~scope() noexcept(false);
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;

  template <class F>
  void spawn(F&& function) {
    using child = child_call<std::decay_t<F>>;
    core::thread* made = create(sizeof(child), alignof(child), &child::run);
    void* memory = made->body->closure;
    try {
      ::new (memory) child{this, std::forward<F>(function)};
    } catch (...) {
      discard(*made);
      throw;
    }
    if (const int error = scheduler_.fork(*made, point_)) [[unlikely]] {
      static_cast<child*>(memory)->~child();
      discard(*made);
      detail::launch::fail(error);
    }
  }

  void join();

 private:
  template <class F>
  struct child_call {
    scope* home;
    F function;

    static void run(void* memory) noexcept {
      auto* self = static_cast<child_call*>(memory);
      try {
        std::invoke(std::move(self->function));
      } catch (...) {
        self->home->keep(std::current_exception());
      }
      self->~child_call();
    }
  };

  core::thread* create(std::size_t bytes, std::size_t alignment, core::closure_function entry);
  void discard(core::thread& unstarted) noexcept;
  void keep(std::exception_ptr thrown) noexcept;
  void wait() noexcept;

  core::fork_point point_;
  core::scheduler_port& scheduler_;
  const int uncaught_ = std::uncaught_exceptions();
  base::spin_lock lock_;
  // Guarded by lock_.
  std::exception_ptr first_;
};

}  // namespace treadle
