// co_await on mutexes, shared mutexes, condition variables and once_flag.
#pragma once

#include <mutex>
#include <utility>

#include "treadle/co_access.hpp"
#include "treadle/condition_variable.hpp"
#include "treadle/mutex.hpp"
#include "treadle/priority_inheritance_mutex.hpp"
#include "treadle/shared_mutex.hpp"

namespace treadle::co {

enum class lock_mode : bool { exclusive, shared };

template <class Mutex>
concept any_recursive_mutex =
    std::is_same_v<Mutex, recursive_mutex> || std::is_same_v<Mutex, recursive_timed_mutex>;

// A mutex that the task holds, until unlock() or the end of the lock. The task may go on anywhere
// meanwhile, and hand the lock to another.
template <class Mutex, lock_mode Mode = lock_mode::exclusive>
class [[nodiscard]] lock_of {
 public:
  lock_of() noexcept = default;
  lock_of(Mutex& of, core::thread* holder) noexcept
      : mutex_(holder != nullptr ? &of : nullptr), holder_(holder) {}
  lock_of(lock_of&& other) noexcept
      : mutex_(std::exchange(other.mutex_, nullptr)), holder_(other.holder_) {}
  lock_of& operator=(lock_of&& other) noexcept {
    if (this != &other) {
      if (mutex_ != nullptr) unlock();
      mutex_ = std::exchange(other.mutex_, nullptr);
      holder_ = other.holder_;
    }
    return *this;
  }
  ~lock_of() {
    if (mutex_ != nullptr) unlock();
  }

  bool owns_lock() const noexcept { return mutex_ != nullptr; }
  explicit operator bool() const noexcept { return owns_lock(); }
  Mutex* mutex() const noexcept { return mutex_; }
  void unlock() noexcept {
    Mutex& from = *std::exchange(mutex_, nullptr);
    if constexpr (any_recursive_mutex<Mutex>) {
      auto& counted = access::counted(from);
      if (access::leaves_last(counted, *holder_)) access::raw(counted).unlock_as(*holder_);
    } else if constexpr (std::is_same_v<Mutex, priority_inheritance_mutex>) {
      const bool to_a_higher = access::raw(from).unlock_as(*holder_);
      holder_->scheduler->tasks->end_hold(*holder_);
      if (to_a_higher) core::current_thread().scheduler->yield();
    } else if constexpr (Mode == lock_mode::shared) {
      access::raw(from).unlock_shared();
    } else {
      access::raw(from).unlock_as(*holder_);
    }
  }

 private:
  Mutex* mutex_ = nullptr;
  core::thread* holder_ = nullptr;
};

namespace detail {

// Turns what a wait gives into a lock.
template <class Wait, class Mutex, lock_mode Mode>
class locking : public Wait {
 public:
  template <class... Limit>
  locking(Mutex& of, typename Wait::kind how, Limit&&... limit) noexcept
      : Wait(how, std::forward<Limit>(limit)...), of_(of) {}
  lock_of<Mutex, Mode> await_resume() noexcept {
    return lock_of<Mutex, Mode>(of_, Wait::await_resume());
  }

 private:
  Mutex& of_;
};

template <class Kind, lock_mode Mode, class Mutex>
auto lock_for_ever(Mutex& of) noexcept {
  return locking<tasks::wait_for<Kind>, Mutex, Mode>(of, Kind{&access::raw(of)});
}
template <class Kind, lock_mode Mode, class Mutex>
auto lock_within(Mutex& of, wait_limit limit) noexcept {
  return locking<tasks::wait_within<Kind>, Mutex, Mode>(of, Kind{&access::raw(of)},
                                                        std::move(limit));
}

}  // namespace detail

// co_await gives a lock_of, within a limit one that may own nothing. Misuse is fatal: locking again
// what the task holds, unless the mutex is recursive: that is free after as many unlocks.
// A priority_inheritance_mutex that a task holds lends its level to all carriers of the runtime's
// tasks; a task that waits for one lends the normal level. std::bad_alloc where it cannot be noted.
[[nodiscard]] inline auto lock(mutex& of) noexcept {
  return detail::lock_for_ever<tasks::mutex_wait, lock_mode::exclusive>(of);
}
[[nodiscard]] inline auto lock(timed_mutex& of) noexcept {
  return detail::lock_for_ever<tasks::mutex_wait, lock_mode::exclusive>(of);
}
[[nodiscard]] inline auto lock(timed_mutex& of, wait_limit limit) noexcept {
  return detail::lock_within<tasks::mutex_wait, lock_mode::exclusive>(of, std::move(limit));
}
[[nodiscard]] inline auto lock(priority_inheritance_mutex& of) noexcept {
  return detail::lock_for_ever<tasks::inheriting_mutex_wait, lock_mode::exclusive>(of);
}
[[nodiscard]] inline auto lock(priority_inheritance_mutex& of, wait_limit limit) noexcept {
  return detail::lock_within<tasks::inheriting_mutex_wait, lock_mode::exclusive>(of,
                                                                                 std::move(limit));
}
template <any_recursive_mutex Mutex>
[[nodiscard]] auto lock(Mutex& of) noexcept {
  recursive_timed_mutex& counted = access::counted(of);
  using wait = tasks::wait_for<tasks::recursive_mutex_wait>;
  return detail::locking<wait, Mutex, lock_mode::exclusive>(
      of, {{&access::raw(counted)}, &access::depth(counted)});
}
[[nodiscard]] inline auto lock(recursive_timed_mutex& of, wait_limit limit) noexcept {
  using wait = tasks::wait_within<tasks::recursive_mutex_wait>;
  return detail::locking<wait, recursive_timed_mutex, lock_mode::exclusive>(
      of, {{&access::raw(of)}, &access::depth(of)}, std::move(limit));
}
template <class Mutex>
concept any_shared_mutex =
    std::is_same_v<Mutex, shared_mutex> || std::is_same_v<Mutex, shared_timed_mutex>;

template <any_shared_mutex Mutex>
[[nodiscard]] auto lock(Mutex& of) noexcept {
  return detail::lock_for_ever<tasks::shared_mutex_wait<true>, lock_mode::exclusive>(of);
}
template <any_shared_mutex Mutex>
[[nodiscard]] auto lock_shared(Mutex& of) noexcept {
  return detail::lock_for_ever<tasks::shared_mutex_wait<false>, lock_mode::shared>(of);
}
[[nodiscard]] inline auto lock(shared_timed_mutex& of, wait_limit limit) noexcept {
  return detail::lock_within<tasks::shared_mutex_wait<true>, lock_mode::exclusive>(
      of, std::move(limit));
}
[[nodiscard]] inline auto lock_shared(shared_timed_mutex& of, wait_limit limit) noexcept {
  return detail::lock_within<tasks::shared_mutex_wait<false>, lock_mode::shared>(of,
                                                                                 std::move(limit));
}

namespace detail {

template <class Lock>
struct unlocker {
  Lock* held;
  void operator()() const noexcept { held->unlock(); }
};

}  // namespace detail

// Unlocks, waits to be notified, locks again. co_await gives nothing; within a limit whether a
// notification came, and with a predicate what that says at the end. The lock may be of any mutex
// that is locked with co::lock(). Threads and tasks may wait for the same variable.
template <class Condition, class Mutex>
task<> wait(Condition& on, lock_of<Mutex>& held) {
  using kind = tasks::condition_wait<detail::unlocker<lock_of<Mutex>>>;
  Mutex& of = *held.mutex();
  co_await tasks::wait_for<kind>(kind{&access::room(on), false, {&held}});
  held = co_await lock(of);
}
template <class Condition, class Mutex>
task<bool> wait_within(Condition& on, lock_of<Mutex>& held, wait_limit limit) {
  using kind = tasks::condition_wait<detail::unlocker<lock_of<Mutex>>>;
  Mutex& of = *held.mutex();
  const bool notified =
      co_await tasks::wait_within<kind>(kind{&access::room(on), true, {&held}}, std::move(limit));
  held = co_await lock(of);
  co_return notified;
}
template <class Condition, class Mutex, class Predicate>
task<> wait(Condition& on, lock_of<Mutex>& held, Predicate predicate) {
  while (!predicate()) co_await wait(on, held);
}
template <class Condition, class Mutex, class Predicate>
task<bool> wait_within(Condition& on, lock_of<Mutex>& held, wait_limit limit, Predicate predicate) {
  while (!predicate()) {
    // Apart from the condition: g++ 12 loses its way in `if (!co_await ...) co_return ...`.
    const bool notified = co_await wait_within(on, held, limit);
    if (!notified) co_return predicate();
  }
  co_return true;
}

// Awaits what `make` gives, a task, once per flag; others wait until it has ended. An exception
// goes to its caller, and another one tries.
template <class Make>
task<> call_once(once_flag& flag, Make make) {
  sync::raw_once& raw = access::raw(flag);
  const bool must_run = co_await tasks::wait_for<tasks::once_wait>({&raw});
  if (!must_run) co_return;
  struct finisher {
    sync::raw_once& raw;
    bool success = false;
    ~finisher() { raw.finish(success); }
  } finish{raw};
  co_await make();
  finish.success = true;
}

}  // namespace treadle::co
