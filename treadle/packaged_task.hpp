// packaged_task: see treadle/future.hpp, which includes this.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "treadle/promise.hpp"

namespace treadle {
namespace detail {

template <class R, class... Args>
class task_state : public result_state<R> {
 public:
  virtual void run(Args... args) = 0;
  virtual void run_at_thread_exit(Args... args) = 0;
  // A fresh one, with the function of this one.
  virtual task_state* remake() = 0;
};

template <class F, class R, class... Args>
class task_state_of final : public task_state<R, Args...> {
 public:
  template <class Function>
  explicit task_state_of(Function&& function) : function_(std::forward<Function>(function)) {}

  void run(Args... args) override {
    this->claim_for_call();
    call(std::forward<Args>(args)...);
    this->publish();
  }
  void run_at_thread_exit(Args... args) override {
    auto note = this->make_note();
    this->claim_for_call();
    call(std::forward<Args>(args)...);
    this->add_note(std::move(note));
  }
  task_state<R, Args...>* remake() override {
    return new task_state_of<F, R, Args...>(std::move(function_));
  }

 private:
  void call(Args... args) noexcept {
    this->store_outcome(
        [&]() -> R { return static_cast<R>(std::invoke(function_, std::forward<Args>(args)...)); });
  }

  F function_;
};

// The signature of a call operator, for the deduction guides.
template <class>
struct call_signature;
template <class R, class C, class... Args, bool Noexcept>
struct call_signature<R (C::*)(Args...) noexcept(Noexcept)> {
  using type = R(Args...);
};
template <class R, class C, class... Args, bool Noexcept>
struct call_signature<R (C::*)(Args...) const noexcept(Noexcept)> {
  using type = R(Args...);
};
template <class R, class C, class... Args, bool Noexcept>
struct call_signature<R (C::*)(Args...)& noexcept(Noexcept)> {
  using type = R(Args...);
};
template <class R, class C, class... Args, bool Noexcept>
struct call_signature<R (C::*)(Args...) const& noexcept(Noexcept)> {
  using type = R(Args...);
};

}  // namespace detail

template <class Signature>
class packaged_task;

// A function whose outcome goes to a future. A call runs it, once, in the calling thread, and is
// itself the function's caller: whatever the function blocks on blocks here. A woken waiter may
// destroy the task before the call has returned. Destroying one that has not run gives its future
// broken_promise.
// Errors: future_error no_state, promise_already_satisfied, future_already_retrieved; what the
// function throws goes to the future. Source: std::packaged_task.
template <class R, class... Args>
class packaged_task<R(Args...)> {
 public:
  packaged_task() noexcept = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, packaged_task> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>) explicit packaged_task(F&& function)
      : state_(new detail::task_state_of<std::decay_t<F>, R, Args...>(std::forward<F>(function))) {}
  packaged_task(packaged_task&&) noexcept = default;
  packaged_task& operator=(packaged_task&& other) noexcept {
    packaged_task(std::move(other)).swap(*this);
    return *this;
  }
  packaged_task(const packaged_task&) = delete;
  packaged_task& operator=(const packaged_task&) = delete;
  ~packaged_task() {
    if (state_) state_->abandon();
  }

  bool valid() const noexcept { return static_cast<bool>(state_); }
  void swap(packaged_task& other) noexcept { std::swap(state_, other.state_); }
  friend void swap(packaged_task& a, packaged_task& b) noexcept { a.swap(b); }

  future<R> get_future() {
    state_.checked().retrieve();
    return detail::future_access::make<R>(detail::state_handle<state>(state_));
  }
  void operator()(Args... args) { state_.checked().run(std::forward<Args>(args)...); }
  // The future becomes ready when the calling thread has ended, as with promise.
  void make_ready_at_thread_exit(Args... args) {
    state_.checked().run_at_thread_exit(std::forward<Args>(args)...);
  }
  // As if newly made with the same function.
  void reset() {
    detail::state_handle<state> fresh(state_.checked().remake());
    state_->abandon();
    state_ = std::move(fresh);
  }

 private:
  using state = detail::task_state<R, Args...>;

  detail::state_handle<state> state_;
};

template <class R, class... Args>
packaged_task(R (*)(Args...)) -> packaged_task<R(Args...)>;
template <class F>
packaged_task(F) -> packaged_task<typename detail::call_signature<decltype(&F::operator())>::type>;

}  // namespace treadle
