// The wait for a time, as small as it can be: of these there may be a million.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "treadle/task/suspension.hpp"

namespace treadle::tasks {

// Until `until` or a stop, of `stop` or, if that has no source, of the task's own token.
class sleep : public suspension<sleep>, private timer {
 public:
  static constexpr core::wait_reason why = core::wait_reason::sleep;

  sleep(base::deadline until, std::stop_token stop) {
    deadline = until.nanoseconds();
    if (stop.stop_possible()) watch_ = std::make_unique<watch>(std::move(stop));
  }
  sleep(const sleep&) = delete;
  sleep& operator=(const sleep&) = delete;

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    attach(caller);
    const line& own = caller.promise().own_line();
    return begin(own.home(), own.stop());
  }
  // False when a stop ended it.
  bool await_resume() noexcept {
    if (armed) self().scheduler->tasks->timers().disarm(*this);
    watch_.reset();
    return outcome_.load(base::relaxed) == over;  // relaxed: is_over() has looked
  }

  bool is_over() const noexcept {
    return outcome_.load(base::acquire) != asleep;  // pairs with end()
  }

 private:
  enum : std::uint8_t { asleep, over, stopped };

  struct bell {
    sleep& home;
    void operator()() const noexcept { home.ring(); }
  };

  // Apart, for most sleep without one.
  struct watch {
    explicit watch(std::stop_token which) noexcept : stop(std::move(which)) {}
    const std::stop_token stop;
    std::optional<std::stop_callback<bell>> on_stop;
  };

  bool begin(engine& home, const std::stop_token* own_stop);
  void ring() noexcept;
  // False when it has ended already.
  bool end(std::uint8_t how) noexcept {
    std::uint8_t expected = asleep;
    // acq_rel: publishes what the stop's requester did; the sleeper may vanish now
    return outcome_.compare_exchange_strong(expected, how, base::acq_rel, base::relaxed);
  }

  std::unique_ptr<watch> watch_;
  base::atomic<std::uint8_t> outcome_{asleep};
};

// Behind all other tasks that are ready.
class turn : public suspension<turn> {
 public:
  static constexpr core::wait_reason why = core::wait_reason::yield;

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> caller) {
    attach(caller);
    yield();
  }
  static void await_resume() noexcept {}
  static bool is_over() noexcept { return true; }
};

}  // namespace treadle::tasks
