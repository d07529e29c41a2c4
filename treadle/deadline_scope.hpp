// with_deadline and deadline_scope: an end for all waits of a block. treadle/task_group.hpp
// includes this.
//
// The calling thread gets a stop token of its own for the block, which is stopped at the deadline,
// and when the token that it had before is. So everything ends that a stop ends: the calls of
// <treadle/io.hpp>, interruptible sleeps, and waits that are given this_thread::stop_token(), in
// the thread itself and in the children of the scopes and task groups that it makes there; not in
// threads that it starts. One thread of the runtime, started at the first deadline, keeps them all.
// Rejected: a deadline beside the token in each thread, which every wait would have to look at, and
// which a std::stop_callback would not see; a thread or a timer of the kernel for each.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "treadle/thread.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

class runtime;

namespace detail {

class deadline_keeper;

struct armed_deadline;
using armed_deadlines = std::multimap<std::int64_t, armed_deadline*>;  // by monotonic nanoseconds
// Guarded by the keeper's books.
struct armed_deadline {
  explicit armed_deadline(const std::stop_source& to_stop) noexcept : source(to_stop) {}
  const std::stop_source& source;
  armed_deadlines::iterator place;
  bool is_armed = false;
};

// Of a runtime that ends: first its keeper, when nothing is armed any more, then what is known of
// it once its threads have ended.
void end_deadlines(const runtime& of) noexcept;
void forget_deadlines(const runtime& of) noexcept;

// A stop source that is stopped when a token is.
class linked_stop_source {
 public:
  explicit linked_stop_source(std::stop_token from) : link_(std::move(from), stop{source_}) {}

  std::stop_source& source() noexcept { return source_; }
  const std::stop_source& source() const noexcept { return source_; }

 private:
  struct stop {
    std::stop_source& source;
    void operator()() const noexcept { source.request_stop(); }
  };

  std::stop_source source_;
  std::stop_callback<stop> link_;
};

}  // namespace detail

// For a block: to be destroyed by the thread that made it, in the reverse order. Of nested ones
// the earliest wins. A limit that has ended already stops at once; one without a time costs no
// timer. Neither the constructor nor the destructor waits for anything but other deadlines' books.
// Happens-before: as a stop request.
// Errors: std::bad_alloc; std::system_error as thread's constructor, for the first one.
// Not promised: that waits which take no token or limit end, as mutex::lock().
class [[nodiscard]] deadline_scope {
 public:
  explicit deadline_scope(const wait_limit& limit);
  ~deadline_scope();
  deadline_scope(const deadline_scope&) = delete;
  deadline_scope& operator=(const deadline_scope&) = delete;

  // Whether its own time is over; an outer one may have stopped the waits before.
  bool has_passed() const noexcept { return until_.has_passed(); }

 private:
  const base::deadline until_;
  detail::linked_stop_source outer_;
  std::optional<std::stop_callback<std::function<void()>>> also_;
  const std::stop_token token_;
  detail::deadline_keeper* keeper_ = nullptr;
  detail::armed_deadline mine_{outer_.source()};
  const detail::own_stop_token own_;
};

// Calls f, whose waits end at `limit` (a span, a point in time, a stop token, or a time and a
// token). Gives back what f returns and throws what f throws, and nothing of its own: a wait that
// was ended says so to f in its own way (false, or -1 with ECANCELED). f may take the scope as its
// argument, to ask it has_passed().
template <class F>
decltype(auto) with_deadline(const wait_limit& limit, F&& f) {
  const deadline_scope scope(limit);
  if constexpr (std::is_invocable_v<F, const deadline_scope&>) {
    return std::invoke(std::forward<F>(f), scope);
  } else {
    return std::invoke(std::forward<F>(f));
  }
}

}  // namespace treadle
