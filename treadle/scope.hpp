// Structured fork-join: children that end before their scope does.
//
// spawn() runs the child at once, on a warm stack, and leaves the rest of the parent to whoever is
// idle; when nobody is, parent and children run in exactly the order of a serial program, and the
// memory needed is that of the recursion's depth. In model 1:1 each child is a kernel thread.
// Source: Blumofe and Leiserson, "Scheduling multithreaded computations by work stealing", 1999.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/thread.hpp"
#include "treadle/thread/body.hpp"

namespace treadle {

// spawn() and join() are for the thread that made the scope, which may go on on another worker.
// Happens-before: spawn() before the child, the child's end before join() returns.
// The children's own stop token is the one that the thread had when it made the scope, which ends
// before the block (with_deadline, stop_shield) that this was in.
// Errors: spawn: std::system_error as thread's constructor. join() throws the first exception that
// a child ended with, after all children have ended; the destructor joins, and throws it too
// unless it runs because of another exception.
class scope : core::fork_point {
 public:
  scope() : scope(core::current_thread()) {}
  ~scope() noexcept(false) {
    wait();
    if (first_) [[unlikely]]
      rethrow_unless_unwinding();
  }
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;

  template <class F>
  void spawn(F&& function) {
    using kept = std::decay_t<F>;
    if (parent != &core::current_thread()) [[unlikely]]
      fail_owner("scope::spawn");
    if constexpr (std::is_trivially_copyable_v<kept> &&
                  sizeof(kept) <= sizeof(core::child_closure) &&
                  alignof(kept) <= alignof(core::child_closure)) {
      core::child_closure words;
      if constexpr (!std::is_empty_v<kept>)
        ::new (static_cast<void*>(words.words)) kept(std::forward<F>(function));
      if (const int error = scheduler_.spawn_child(&run<kept>, words, *this)) [[unlikely]]
        detail::launch::fail(error);
    } else {
      spawn_large<kept>(std::forward<F>(function));
    }
  }

  // Parks the caller until all children have ended.
  void join() {
    if (parent != &core::current_thread()) [[unlikely]]
      fail_owner("scope::join");
    wait();
    if (first_) [[unlikely]]
      rethrow();
  }

 private:
  // What a child runs, with its F in memory of its own.
  template <class F>
  static void run(void* memory) noexcept {
    auto* function = static_cast<F*>(memory);
    try {
      std::invoke(std::move(*function));
    } catch (...) {
      static_cast<scope*>(core::current_thread().body->fork)->keep(std::current_exception());
    }
    function->~F();
  }

  template <class Kept, class F>
  void spawn_large(F&& function) {
    core::thread* made = create(sizeof(Kept), alignof(Kept), &run<Kept>);
    void* memory = made->body->closure;
    try {
      ::new (memory) Kept(std::forward<F>(function));
    } catch (...) {
      discard(*made);
      throw;
    }
    if (const int error = scheduler_.fork(*made, *this)) [[unlikely]] {
      static_cast<Kept*>(memory)->~Kept();
      discard(*made);
      detail::launch::fail(error);
    }
  }

  // The thread is looked for once: that takes a few instructions of a child's hundred.
  explicit scope(core::thread& maker) : scheduler_(scheduler_for_children(*maker.scheduler)) {
    parent = &maker;
    stop = core::own_stop_token(maker);
  }
  // With their parent, or for a foreign kernel thread in the default runtime.
  static core::scheduler_port& scheduler_for_children(core::scheduler_port& of_parent) {
    return of_parent.owner != nullptr ? of_parent : scheduler_for_foreign();
  }
  static core::scheduler_port& scheduler_for_foreign();

  // A child with a stack, and memory for its closure there.
  core::thread* create(std::size_t bytes, std::size_t alignment, core::closure_function entry) {
    core::creation wanted;
    wanted.closure_bytes = bytes + (alignment > 16 ? alignment : 0);
    wanted.bind_now = true;
    core::thread* made = nullptr;
    if (const int error = scheduler_.create(wanted, made)) [[unlikely]] {
      detail::launch::fail(error);
    }
    if (alignment > 16) {
      const auto address = reinterpret_cast<std::uintptr_t>(made->body->closure);
      made->body->closure = reinterpret_cast<void*>((address + alignment - 1) & ~(alignment - 1));
    }
    made->body->entry = entry;
    return made;
  }
  void wait() noexcept {
    if (left_behind != 0) [[unlikely]]
      wait_for_late();
  }
  [[noreturn]] static void fail_owner(const char* call);
  void rethrow_unless_unwinding();
  void rethrow();
  void wait_for_late() noexcept;
  void discard(core::thread& unstarted) noexcept;
  void keep(std::exception_ptr thrown) noexcept;

  core::scheduler_port& scheduler_;
  // Read from the ABI's per-thread state directly: the library call costs a twentieth of a spawn.
  const int uncaught_ = static_cast<int>(core::current_worker().exceptions->uncaught);
  base::spin_lock lock_;
  // Guarded by lock_.
  std::exception_ptr first_;
};

}  // namespace treadle
