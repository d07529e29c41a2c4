// What the calling thread does with itself, of <treadle/thread.hpp>.
#pragma once

#include <chrono>
#include <stop_token>
#include <string_view>

#include "treadle/plain_thread.hpp"

namespace treadle {

namespace this_thread {

class id_maker {
 public:
  static thread::id current() noexcept { return thread::id(core::current_thread().id); }
};

inline thread::id get_id() noexcept { return id_maker::current(); }

// Lets other ready threads of this processor run; returns at once when there are none.
inline void yield() noexcept { core::current_thread().scheduler->yield(); }

// What thread_attributes gave; "main" or "foreign" for adopted kernel threads; else empty. Valid
// while the calling thread lives.
std::string_view name() noexcept;

// At most 31 bytes are kept; for reports and debuggers.
void set_name(std::string_view text) noexcept;

// The calling thread's; see thread.
treadle::priority priority() noexcept;
treadle::priority effective_priority() noexcept;
bool set_priority(treadle::priority wanted) noexcept;

// The calling thread's own token: a jthread's, or in a child of a scope the one that its parent had
// when it made the scope; else an empty one. A stop asked for through it ends the calls of
// <treadle/io.hpp> and interruptible sleeps.
std::stop_token stop_token() noexcept;

// While one lives the calling thread's own token is an empty one, so that no stop ends what it
// does: for what is left to do after a stop, as writing a last line. To be destroyed by the thread
// that made it, in the reverse order.
class [[nodiscard]] stop_shield {
 public:
  stop_shield() noexcept : nothing_(none_) {}

 private:
  const std::stop_token none_;
  const treadle::detail::own_stop_token nothing_;
};

namespace detail {
// False when a stop was asked for, of `stop` or of the thread's own token.
bool sleep(base::deadline until, const std::stop_token& stop) noexcept;

inline void sleep(base::deadline until) noexcept {
  core::scheduler_port& scheduler = *core::current_thread().scheduler;
  // A stray token ends a park early, never a sleep. One park at least: also a sleep of no length
  // lets others run.
  do {
    static_cast<void>(scheduler.park(core::wait_reason::sleep, until));
  } while (!until.has_passed());
}
}  // namespace detail

// Parks the thread for at least that long on the monotonic clock; on an idle machine about 0.03 ms
// longer (1:1: 0.08, as the kernel wants it), in a crowd of sleepers up to 0.3 (decision 0037). Not
// a cancellation point.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& span) {
  detail::sleep(base::deadline::after(span));
}

// For clocks other than steady_clock the time is converted, again after each wake-up.
template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& point) {
  while (base::deadline::is_ahead(point)) detail::sleep(base::deadline::of(point));
}

// Interruptible sleeps: the same, but false as soon as a stop is asked for, of `stop` or of the
// thread's own token; at once when that has happened already. True is never early.
template <class Rep, class Period>
bool sleep_for(const std::chrono::duration<Rep, Period>& span, const std::stop_token& stop) {
  return detail::sleep(base::deadline::after(span), stop);
}
template <class Clock, class Duration>
bool sleep_until(const std::chrono::time_point<Clock, Duration>& point,
                 const std::stop_token& stop) {
  // Once at least: a stop is seen also when the time is over.
  do {
    if (!detail::sleep(base::deadline::of(point), stop)) return false;
  } while (base::deadline::is_ahead(point));
  return true;
}

}  // namespace this_thread

}  // namespace treadle
