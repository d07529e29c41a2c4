// future, shared_future and promise: see treadle/future.hpp, which includes this.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "treadle/future_state.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

using std::future_category;
using std::future_errc;
using std::future_error;
using std::future_status;

template <class R>
class shared_future;

namespace detail {

struct future_access;

// What future and shared_future have in common.
template <class R>
class future_base {
 public:
  bool valid() const noexcept { return static_cast<bool>(state_); }

  // Parks the caller until there is an outcome; runs a deferred call here.
  void wait() const { state_.checked().wait(); }
  // future_status::deferred, without waiting, for a deferred call that nobody has begun.
  template <class Rep, class Period>
  future_status wait_for(const std::chrono::duration<Rep, Period>& span) const {
    return wait_before(base::deadline::after(span));
  }
  template <class Clock, class Duration>
  future_status wait_until(const std::chrono::time_point<Clock, Duration>& point) const {
    result_state<R>& state = state_.checked();
    if (state.is_deferred()) return future_status::deferred;
    const auto wait = [&state](base::deadline until) { return state.wait(until); };
    return base::wait_until(point, wait) ? future_status::ready : future_status::timeout;
  }
  // False when the limit came first; at once for a deferred call that nobody has begun.
  bool try_wait(const wait_limit& limit) const {
    result_state<R>& state = state_.checked();
    return !state.is_deferred() && state.wait(limit);
  }

 protected:
  friend struct future_access;

  future_base() noexcept = default;
  explicit future_base(state_handle<result_state<R>> state) noexcept : state_(std::move(state)) {}

  future_status wait_before(base::deadline until) const {
    result_state<R>& state = state_.checked();
    if (state.is_deferred()) return future_status::deferred;
    return state.wait(until) ? future_status::ready : future_status::timeout;
  }

  state_handle<result_state<R>> state_;
};

}  // namespace detail

// The outcome that one thread waits for. get() waits, gives the value away or throws the exception,
// and leaves the future without a state. Movable. Destroying it does not block, but for the last
// one of an async(): that joins the thread.
// Happens-before: set_value() and its like before what finds it ready.
// Cancellation: try_wait() with a stop token in its limit. wait() has none.
// Errors: future_error no_state of all but valid() and the destructor. Source: std::future.
template <class R>
class future : public detail::future_base<R> {
 public:
  future() noexcept = default;
  future(future&&) noexcept = default;
  future& operator=(future&&) noexcept = default;
  future(const future&) = delete;
  future& operator=(const future&) = delete;

  R get() {
    this->wait();
    const auto state = std::move(this->state_);
    state->rethrow_failure();
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(*state->value());
    } else if constexpr (!std::is_void_v<R>) {
      return std::move(state->value());
    }
  }
  shared_future<R> share() noexcept { return shared_future<R>(std::move(*this)); }

 private:
  friend struct detail::future_access;
  using detail::future_base<R>::future_base;
};

// The outcome that many threads wait for, each through its own copy. Source: std::shared_future.
template <class R>
class shared_future : public detail::future_base<R> {
 public:
  shared_future() noexcept = default;
  shared_future(const shared_future&) noexcept = default;
  shared_future(shared_future&&) noexcept = default;
  shared_future& operator=(const shared_future&) noexcept = default;
  shared_future& operator=(shared_future&&) noexcept = default;
  shared_future(future<R>&& single) noexcept;  // NOLINT: implicit, as the standard's

  // A reference to the value, which lives as long as any of the copies.
  std::conditional_t<std::is_void_v<R> || std::is_reference_v<R>, R,
                     std::add_lvalue_reference_t<const R>>
  get() const {
    this->wait();
    this->state_->rethrow_failure();
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(*this->state_->value());
    } else if constexpr (!std::is_void_v<R>) {
      return this->state_->value();
    }
  }
};

namespace detail {

// For what else makes futures, and for when_all() and when_any().
struct future_access {
  template <class R>
  static future<R> make(state_handle<result_state<R>> state) {
    return future<R>(std::move(state));
  }
  template <class R>
  static future<R> retrieve(const state_handle<result_state<R>>& from) {
    from.checked().retrieve();
    return future<R>(from);
  }
  template <class R>
  static future_state& state_of(const future_base<R>& which) {
    return which.state_.checked();
  }
  template <class R>
  static state_handle<result_state<R>> take(future_base<R>& from) noexcept {
    return std::move(from.state_);
  }
};

// What the promises of values, references and nothing have in common.
template <class R>
class promise_base {
 public:
  future<R> get_future() { return future_access::retrieve<R>(state_); }
  void set_exception(std::exception_ptr thrown) {
    state_.checked().set_exception(checked(std::move(thrown)));
  }
  void set_exception_at_thread_exit(std::exception_ptr thrown) {
    state_.checked().set_exception_at_thread_exit(checked(std::move(thrown)));
  }

 protected:
  promise_base() : state_(new result_state<R>) {}
  template <class Allocator>
  promise_base(std::allocator_arg_t, const Allocator& allocator)
      : state_(allocated_state<R, Allocator>::make(allocator)) {}
  promise_base(promise_base&&) noexcept = default;
  promise_base& operator=(promise_base&& other) noexcept {
    promise_base(std::move(other)).swap(*this);
    return *this;
  }
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;
  ~promise_base() {
    if (state_) state_->abandon();
  }
  void swap(promise_base& other) noexcept { std::swap(state_, other.state_); }

  state_handle<result_state<R>> state_;

 private:
  static std::exception_ptr checked(std::exception_ptr thrown) {
    if (!thrown) throw std::invalid_argument("treadle: promise::set_exception: a null pointer");
    return thrown;
  }
};

}  // namespace detail

// Where a thread puts the outcome, once. Destroying a promise without one gives its future
// broken_promise. A woken waiter may destroy the promise before set_value() has returned.
// The calls never park. ..._at_thread_exit(): the outcome is stored now and can be had when the
// calling thread has ended, after its thread_specific values have been destroyed.
// With an allocator its memory comes from there; a promise that is moved keeps what it has.
// Errors: future_error no_state, promise_already_satisfied, future_already_retrieved; what copying
// the value throws, and then nothing is set. Source: std::promise.
template <class R>
class promise : public detail::promise_base<R> {
  using base = detail::promise_base<R>;

 public:
  promise() = default;
  template <class Allocator>
  promise(std::allocator_arg_t tag, const Allocator& allocator) : base(tag, allocator) {}
  template <class Allocator>
  promise(std::allocator_arg_t, const Allocator&, promise&& other) noexcept
      : promise(std::move(other)) {}
  void swap(promise& other) noexcept { base::swap(other); }
  friend void swap(promise& a, promise& b) noexcept { a.swap(b); }

  void set_value(const R& value) { put(value); }
  void set_value(R&& value) { put(std::move(value)); }
  void set_value_at_thread_exit(const R& value) { put_at_thread_exit(value); }
  void set_value_at_thread_exit(R&& value) { put_at_thread_exit(std::move(value)); }

 private:
  template <class Value>
  void put(Value&& value) {
    auto& state = this->state_.checked();
    state.provide([&] { state.make_value(std::forward<Value>(value)); });
  }
  template <class Value>
  void put_at_thread_exit(Value&& value) {
    auto& state = this->state_.checked();
    state.provide_at_thread_exit([&] { state.make_value(std::forward<Value>(value)); });
  }
};

template <class R>
class promise<R&> : public detail::promise_base<R&> {
  using base = detail::promise_base<R&>;

 public:
  promise() = default;
  template <class Allocator>
  promise(std::allocator_arg_t tag, const Allocator& allocator) : base(tag, allocator) {}
  template <class Allocator>
  promise(std::allocator_arg_t, const Allocator&, promise&& other) noexcept
      : promise(std::move(other)) {}
  void swap(promise& other) noexcept { base::swap(other); }
  friend void swap(promise& a, promise& b) noexcept { a.swap(b); }

  void set_value(R& value) {
    auto& state = this->state_.checked();
    state.provide([&]() noexcept { state.make_value(std::addressof(value)); });
  }
  void set_value_at_thread_exit(R& value) {
    auto& state = this->state_.checked();
    state.provide_at_thread_exit([&]() noexcept { state.make_value(std::addressof(value)); });
  }
};

template <>
class promise<void> : public detail::promise_base<void> {
  using base = detail::promise_base<void>;

 public:
  promise() = default;
  template <class Allocator>
  promise(std::allocator_arg_t tag, const Allocator& allocator) : base(tag, allocator) {}
  template <class Allocator>
  promise(std::allocator_arg_t, const Allocator&, promise&& other) noexcept
      : promise(std::move(other)) {}
  void swap(promise& other) noexcept { base::swap(other); }
  friend void swap(promise& a, promise& b) noexcept { a.swap(b); }

  void set_value() {
    state_.checked().provide([]() noexcept {});
  }
  void set_value_at_thread_exit() {
    state_.checked().provide_at_thread_exit([]() noexcept {});
  }
};

template <class R>
shared_future<R>::shared_future(future<R>&& single) noexcept
    : detail::future_base<R>(detail::future_access::take(single)) {}

}  // namespace treadle

template <class R, class Allocator>
struct std::uses_allocator<treadle::promise<R>, Allocator> : std::true_type {};
