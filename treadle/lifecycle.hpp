// What belongs to a thread's life besides its start and its join: its end by a stop, what is to be
// done when it ends, and a list of all threads with what they do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "treadle/thread.hpp"
#include "treadle/thread_specific.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {
namespace this_thread {

// Throws treadle::cancelled when a stop was asked for, of the calling thread's own token: a
// jthread's request_stop(), a scope or a deadline that ends. Does not block. While a stop_shield
// lives, or when the thread has no token, nothing is thrown.
void cancellation_point();

// The end of the calling thread runs `f`, after its function has returned or was left by
// `cancelled`, and before its thread_specific values are destroyed: `f` may use them. The last one
// registered runs first; one registered by another runs next. An exception that leaves `f` calls
// std::terminate(). For main, and other kernel threads that are not treadle's: when they end, and
// for main that is never.
// May allocate; std::bad_alloc.
template <class F>
void at_exit(F&& f);

}  // namespace this_thread

// A wait that is a cancellation point: calls wait(limit) with a limit that the calling thread's own
// stop ends, and throws treadle::cancelled when it ended so. What it gives back tells success as a
// bool, as all waits do that take a limit.
template <class Wait>
auto cancellable(Wait&& wait) {
  this_thread::cancellation_point();
  auto result = std::forward<Wait>(wait)(wait_limit(this_thread::stop_token()));
  if (!static_cast<bool>(result)) this_thread::cancellation_point();
  return result;
}

// One thread as it was at a moment. Taken while it runs: what stands here may be over.
struct thread_status {
  std::uint32_t number = 0;  // as thread::id prints it
  std::string name;
  thread_state state = thread_state::free;
  std::string_view why;  // what it waits for, as "mutex"; what made it ready; or empty
  priority own = priority::normal;
  priority effective = priority::normal;
};

// Every thread of the process that has been started and not been joined, of all runtimes, and
// adopted kernel threads; in no order. Parks nobody. std::bad_alloc.
std::vector<thread_status> list_threads();

// "running", "parked" and so on.
std::string_view to_string(thread_state which) noexcept;
std::string_view to_string(priority which) noexcept;

// One line a thread on a descriptor: number, name, state, why, priority.
// Errors are ignored, as nobody could be told.
void dump_threads(int descriptor);

namespace detail {

struct exit_handler {
  exit_handler* next = nullptr;
  virtual void run() noexcept = 0;
  virtual ~exit_handler() = default;
};
void add_exit_handler(std::unique_ptr<exit_handler> one);

template <class F>
struct exit_function final : exit_handler {
  explicit exit_function(F&& wanted) : f(std::move(wanted)) {}
  explicit exit_function(const F& wanted) : f(wanted) {}
  void run() noexcept override { f(); }
  F f;
};

}  // namespace detail

template <class F>
void this_thread::at_exit(F&& f) {
  treadle::detail::add_exit_handler(
      std::make_unique<treadle::detail::exit_function<std::decay_t<F>>>(std::forward<F>(f)));
}

}  // namespace treadle
