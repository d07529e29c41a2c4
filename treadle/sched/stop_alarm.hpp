// Ends a wait when a stop is asked for: what std::stop_token is to park and unpark.
//
// A wait that is about to park makes one on its own stack. The stop request sets its flag and
// unparks the waiter, which then gives up as on a time-out: the lock of what it waits for decides
// whether the grant or the stop won. Waits without a token never come here.
// The callback runs in the thread that asks for the stop, and touches the flag and the waiter's
// record only, never what is waited for: that may be gone. The destructor waits until a callback
// that runs has ended, which takes as long as an unpark.
// Rejected: a callback that takes the waiter out of its list: each primitive would need its own,
// and would take its lock inside the stop source's.
#pragma once

#include <stop_token>

#include "treadle/sched/scheduler.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {

// The token of the calling thread itself, null when it has none: a jthread's is its source's, a
// child in a scope has the one with which its parent made the scope. Whatever block that belongs to
// lasts longer than the scope. Rejected: to look at what the parent has now, which runs meanwhile.
inline const std::stop_token* own_stop_token(const thread& self) noexcept {
  const thread_body& body = *self.body;
  return body.stop == nullptr && self.forked ? body.fork->stop : body.stop;
}

class stop_alarm {
 public:
  // Tokens without a source never ring. `also` may be null.
  stop_alarm(thread& waiting, const std::stop_token& stop,
             const std::stop_token* also = nullptr) noexcept
      : waiting_(waiting),
        first_(stop, bell{*this}),
        second_(also != nullptr ? *also : std::stop_token(), bell{*this}) {}
  stop_alarm(const stop_alarm&) = delete;
  stop_alarm& operator=(const stop_alarm&) = delete;

  bool has_rung() const noexcept {
    return rung_.load(base::acquire);  // pairs with ring(), publishes what the requester did
  }

 private:
  struct bell {
    stop_alarm& home;
    void operator()() const noexcept { home.ring(); }
  };

  // In the thread that asks for the stop; in the constructor when that has happened already.
  void ring() noexcept {
    rung_.store(true, base::release);  // pairs with has_rung()
    scheduler_port::unpark(waiting_);
  }

  // Fixed after start.
  thread& waiting_;
  // Atomic.
  base::atomic<bool> rung_{false};
  // Last, so that they go first: their destructors wait for ring().
  std::stop_callback<bell> first_;
  std::stop_callback<bell> second_;
};

enum class [[nodiscard]] wait_end{met, timed_out, stopped};

// Parks `self`, the calling thread, until `met()`, `until` or the alarm; what is met wins. met() is
// looked at after every park, so whoever makes it true unparks. A deadline or a stop that has come
// already is a scheduling point all the same: see park().
template <class Condition>
wait_end park_until(thread& self, wait_reason why, deadline until, const stop_alarm& alarm,
                    Condition met) noexcept {
  if (met()) return wait_end::met;
  if (alarm.has_rung()) {
    self.scheduler->yield();
    return met() ? wait_end::met : wait_end::stopped;
  }
  for (;;) {
    const wake outcome = self.scheduler->park(why, until);
    if (met()) return wait_end::met;
    if (alarm.has_rung()) return wait_end::stopped;
    if (outcome == wake::timed_out) return wait_end::timed_out;
  }
}

}  // namespace treadle::core
