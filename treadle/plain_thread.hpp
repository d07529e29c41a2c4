// The class thread, of <treadle/thread.hpp>.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <thread>
#include <type_traits>
#include <utility>

#include "treadle/thread_launch.hpp"

namespace treadle {

namespace this_thread {
class id_maker;
}

// A thread of the runtime. Construction starts it; destroying a joinable one calls
// std::terminate(), as does an exception that leaves the function.
// Happens-before: construction before the function, the function's end before join() returns.
// Errors: std::system_error with resource_unavailable_try_again when memory or kernel threads are
// refused; join: invalid_argument when not joinable, resource_deadlock_would_occur on itself.
// Source: std::thread.
class thread {
 public:
  class id {
   public:
    constexpr id() noexcept = default;
    friend constexpr bool operator==(id, id) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(id, id) noexcept = default;
    template <class Char, class Traits>
    friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                                        id which) {
      if (which.number_ == 0) return out << "thread::id of a non-executing thread";
      return out << which.number_;
    }

   private:
    friend class thread;
    friend struct std::hash<id>;
    friend class this_thread::id_maker;
    constexpr explicit id(std::uint32_t number) noexcept : number_(number) {}
    std::uint32_t number_ = 0;
  };

  thread() noexcept = default;

  template <class F, class... Args>
  requires(
      !std::is_same_v<std::remove_cvref_t<F>, thread> &&
      !std::is_same_v<std::remove_cvref_t<F>, thread_attributes>) explicit thread(F&& function,
                                                                                  Args&&... args)
      : record_(detail::launch::start_made<call_of<F, Args...>>(
            detail::launch::scheduler_for_children(), nullptr, std::in_place,
            std::forward<F>(function), std::forward<Args>(args)...)) {}

  template <class F, class... Args>
  thread(const thread_attributes& attributes, F&& function, Args&&... args)
      : record_(detail::launch::start_made<call_of<F, Args...>>(
            detail::launch::scheduler_for(attributes), &attributes, std::in_place,
            std::forward<F>(function), std::forward<Args>(args)...)) {}

  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  thread(thread&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  thread& operator=(thread&& other) noexcept {
    if (joinable()) std::terminate();
    record_ = std::exchange(other.record_, nullptr);
    return *this;
  }
  ~thread() {
    if (joinable()) std::terminate();
  }

  bool joinable() const noexcept { return record_ != nullptr; }
  // Parks the caller until the thread has ended.
  void join() { detail::launch::join(record_); }
  // The same within a limit. False when that came first: the thread runs on and is still joinable.
  bool try_join(const wait_limit& limit) { return detail::launch::try_join(record_, limit); }
  void detach() { detail::launch::detach(record_); }
  id get_id() const noexcept { return record_ != nullptr ? id(record_->id) : id(); }
  // What the thread was given, by its attributes or since; and what it runs at: that, or more while
  // others wait for a priority_inheritance_mutex of its. std::system_error when not joinable.
  treadle::priority priority() const { return detail::launch::level_of(record_).own; }
  treadle::priority effective_priority() const {
    return detail::launch::level_of(record_).effective;
  }
  // A moment's: where the thread was just now. std::system_error when not joinable.
  thread_state state() const { return detail::launch::state_of(record_); }
  // At the latest when the thread is next made ready. False when the kernel refuses it, which only
  // a thread with a kernel thread of its own can tell: then only inheriting mutexes go by it.
  bool set_priority(treadle::priority wanted) {
    return detail::launch::set_priority(record_, wanted);
  }
  void swap(thread& other) noexcept { std::swap(record_, other.record_); }
  friend void swap(thread& a, thread& b) noexcept { a.swap(b); }

  // The CPUs that affinity and cgroup limits leave to the process; at least 1.
  static unsigned hardware_concurrency() noexcept;

 private:
  friend class jthread;

  template <class F, class... Args>
  using call_of = detail::bound_call<std::decay_t<F>, std::decay_t<Args>...>;

  explicit thread(core::thread* record) noexcept : record_(record) {}

  friend struct co::access;
  core::thread* record_ = nullptr;
};

}  // namespace treadle

template <>
struct std::hash<treadle::thread::id> {
  std::size_t operator()(treadle::thread::id which) const noexcept {
    return std::hash<std::uint32_t>{}(which.number_);
  }
};
