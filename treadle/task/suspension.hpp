// What an awaiter of a task is made of that may have to wait.
//
// It lies in the task's frame. To wait it parks the line's record; every wake-up of the record has
// a carrier call woken(), which looks whether the wait is over: wake-ups may come for no reason, as
// to a thread.
// A wait with limits (`limited`) ends in one of three ways, and the lock of what it waits for says
// in which: whoever takes the node out of the list first, the granter, the clock or the stop. The
// others find it gone. The clock and the stop source are left before the task goes on, so neither
// meets a frame that is gone.
#pragma once

#include <coroutine>
#include <optional>
#include <stop_token>

#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/wait_list.hpp"
#include "treadle/task/promise.hpp"

namespace treadle::tasks {

// `Awaiter` has bool is_over(), called on a carrier after a wake-up, and `why`.
template <class Awaiter>
class suspension {
 protected:
  template <runs_as_task Promise>
  void attach(std::coroutine_handle<Promise> caller) {
    self_ = &caller.promise().own_line().record();
    frame_ = caller.address();
  }
  // The last step of await_suspend().
  void park() noexcept {
    go_on_here();
    engine::park_task(*self_, Awaiter::why);
  }
  // The same without a wait: others run first.
  void yield() noexcept {
    go_on_here();
    engine::yield_task(*self_);
  }
  core::thread& self() const noexcept { return *self_; }

 private:
  // Not by begin_with(): the record's other word is the line's (line.hpp).
  void go_on_here() noexcept {
    self_->start = {&suspension::woken, reinterpret_cast<std::uintptr_t>(this)};
  }
  static void woken(void* memory) noexcept {
    auto& mine = *static_cast<suspension*>(memory);
    if (!static_cast<Awaiter&>(mine).is_over()) return engine::park_task(*mine.self_, Awaiter::why);
    std::coroutine_handle<>::from_address(mine.frame_).resume();
  }

  core::thread* self_ = nullptr;
  void* frame_ = nullptr;
};

// Ends a wait from outside, at a time or when a stop is asked for. `Awaiter` has bool withdraw():
// nobody else will end the wait any more.
template <class Awaiter>
class limits : private timer {
 public:
  explicit limits(base::wait_limit within) noexcept : limit_(std::move(within)) {}

 protected:
  const base::wait_limit& limit() const noexcept { return limit_; }

  // When the awaiter can be found by who grants. It is parked after this, or looks itself.
  void arm(engine& home) {
    home_ = &home;
    if (limit_.stop().stop_possible()) bell_.emplace(limit_.stop(), bell{*this});
    if (limit_.until().is_never()) return;
    if (limit_.until().has_passed()) {
      static_cast<void>(give_up());
      return;
    }
    expire = [](timer& self) noexcept { return static_cast<limits&>(self).give_up(); };
    home.timers().arm(*this, limit_.until());
    is_timed_ = true;
  }
  // Before the task goes on.
  void disarm() noexcept {
    if (is_timed_) home_->timers().disarm(*this);
    is_timed_ = false;
    bell_.reset();
  }
  // Whether the wait was ended by us.
  bool gave_up() const noexcept {
    return gave_up_.load(base::acquire);  // pairs with give_up()
  }

 private:
  struct bell {
    limits& home;
    void operator()() const noexcept {
      if (core::thread* const who = home.give_up()) core::scheduler_port::unpark(*who);
    }
  };

  // Whom to unpark, or null when the wait has ended already.
  core::thread* give_up() noexcept {
    // acq_rel: of clock and stop only one may withdraw
    if (leaves_.exchange(true, base::acq_rel)) return nullptr;
    auto& mine = static_cast<Awaiter&>(*this);
    core::thread* const who = mine.who();
    if (!mine.withdraw()) return nullptr;
    gave_up_.store(true, base::release);  // pairs with gave_up(); the awaiter may vanish now
    return who;
  }

  const base::wait_limit limit_;
  engine* home_ = nullptr;
  std::optional<std::stop_callback<bell>> bell_;
  base::atomic<bool> leaves_{false};
  base::atomic<bool> gave_up_{false};
  bool is_timed_ = false;
};

// A wait of a kind. `Kind` knows a state machine of treadle/sync:
//   node              what it lists, derived from sync::waiter, made from a record
//   try_now()         whether there is no need to wait
//   enlist(node)      false when the node is listed, true when there was no need
//   complete(node, expired)   after the grant; false when the node is listed once more
//   withdraw(node)    takes the node out; false when it is granted, or about to be
//   result()          what the wait gives
template <class Kind>
class wait_for : public suspension<wait_for<Kind>> {
 public:
  using kind = Kind;
  static constexpr core::wait_reason why = Kind::why;

  explicit wait_for(Kind of) noexcept : kind_(of) {}
  wait_for(const wait_for&) = delete;
  wait_for& operator=(const wait_for&) = delete;
  ~wait_for() {}

  bool await_ready() noexcept { return kind_.try_now(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    this->attach(caller);
    kind_.make(&node_, this->self());
    if (kind_.enlist(node_)) return false;
    this->park();
    return true;
  }
  decltype(auto) await_resume() noexcept(noexcept(std::declval<Kind&>().result())) {
    return kind_.result();
  }

  bool is_over() noexcept { return node_.is_granted() && kind_.complete(node_, false); }

 protected:
  Kind& how() noexcept { return kind_; }

 private:
  Kind kind_;
  union {
    typename Kind::node node_;
  };
};

// The same within limits; gives whether it was granted.
template <class Kind>
class wait_within : public suspension<wait_within<Kind>>, public limits<wait_within<Kind>> {
 public:
  using kind = Kind;
  static constexpr core::wait_reason why = Kind::why;

  wait_within(Kind of, base::wait_limit within) noexcept
      : limits<wait_within>(std::move(within)), kind_(of) {}
  wait_within(const wait_within&) = delete;
  wait_within& operator=(const wait_within&) = delete;
  ~wait_within() {}

  bool await_ready() noexcept { return kind_.try_now(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    this->attach(caller);
    engine& home = caller.promise().own_line().home();
    kind_.make(&node_, this->self());
    if (kind_.enlist(node_)) return false;
    this->arm(home);
    if (is_over()) return false;
    this->park();
    return true;
  }
  decltype(auto) await_resume() noexcept(noexcept(std::declval<Kind&>().result_within(true))) {
    this->disarm();
    return kind_.result_within(!this->gave_up());
  }

  bool is_over() noexcept {
    if (this->gave_up()) return true;
    return node_.is_granted() && kind_.complete(node_, this->limit().until().has_passed() ||
                                                           this->limit().stop().stop_requested());
  }
  core::thread* who() const noexcept { return &this->self(); }
  bool withdraw() noexcept { return kind_.withdraw(node_); }

 protected:
  Kind& how() noexcept { return kind_; }

 private:
  Kind kind_;
  union {
    typename Kind::node node_;
  };
};

}  // namespace treadle::tasks
