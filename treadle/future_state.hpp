// What a promise and its futures share: one allocation with a count, the value or the exception,
// and the threads that wait.
//
// A provider claims the state, stores the outcome and publishes it; after the claim it uses nothing
// of the promise, which a woken waiter may destroy. Whoever holds the state has counted itself.
// A deferred call is run by the first thread that waits without a limit; an asynchronous one has a
// thread, which every full wait and the last release join.
// Rejected: std::shared_ptr (a second count and a deleter that nobody uses); a mutex and a
// condition variable in each state (five times the size).
// Source: [futures.state] of the C++ standard.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "treadle/base/biased.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/sync/raw_result.hpp"
#include "treadle/thread_specific.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle::detail {

[[noreturn]] void throw_future_error(std::future_errc why);

template <class Ground>
class basic_future_state {
 public:
  basic_future_state(const basic_future_state&) = delete;
  basic_future_state& operator=(const basic_future_state&) = delete;

  void share() noexcept { references_.fetch_add(1, base::relaxed); }  // relaxed: we hold one
  void release() noexcept {
    // acq_rel: whoever frees it comes after all others' uses
    if (references_.fetch_sub(1, base::acq_rel) == 1) dispose();
  }

  bool is_ready() const noexcept { return result_.is_ready(); }
  // A call that nobody has begun yet; false once it runs.
  bool is_deferred() const noexcept {
    return call_.load(base::acquire) == call::deferred && !is_ready();  // pairs with begin_call()
  }
  void wait() {
    if (is_deferred()) run_deferred();
    result_.wait();
    settle();
  }
  bool wait(base::deadline until) { return result_.wait(until) && (settle(), true); }
  bool wait(const wait_limit& limit) { return result_.wait(limit) && (settle(), true); }
  bool watch(sync::result_watcher& watching) noexcept { return result_.watch(watching); }
  // For tasks, which then wait() without waiting.
  sync::basic_result<Ground>& result() noexcept { return result_; }

  // After wait().
  void rethrow_failure() const {
    if (error_) std::rethrow_exception(error_);
  }

  // Once; future_error otherwise.
  void retrieve();
  // Stores what `make` makes, then publishes it. When it throws nothing has happened.
  template <class Make>
  void provide(Make&& make) {
    store(std::forward<Make>(make));
    publish();
  }
  template <class Make>
  void provide_at_thread_exit(Make&& make) {
    std::unique_ptr<published_note> note = make_note();
    store(std::forward<Make>(make));
    add_note(std::move(note));
  }
  void set_exception(std::exception_ptr thrown) {
    provide([&]() noexcept { error_ = std::move(thrown); });
  }
  void set_exception_at_thread_exit(std::exception_ptr thrown) {
    provide_at_thread_exit([&]() noexcept { error_ = std::move(thrown); });
  }
  // For the provider that goes away: broken_promise unless there is an outcome.
  void abandon() noexcept;

 protected:
  enum class call : std::uint8_t { none, deferred, begun };

  explicit basic_future_state(call kind = call::none) noexcept : call_(kind) {}
  virtual ~basic_future_state() = default;
  // When nobody holds it any more.
  virtual void dispose() noexcept { delete this; }
  virtual void run_deferred() {}
  // After it is ready, in each thread that has waited for it.
  virtual void settle() {}

  // True for one caller only.
  bool begin_call() noexcept {
    call expected = call::deferred;
    // acq_rel: pairs with is_deferred()
    return call_.compare_exchange_strong(expected, call::begun, base::acq_rel, base::relaxed);
  }
  // future_error when somebody has provided. A provider that may yet fail is waited for.
  void claim();
  // For who has claimed and could not make the value.
  void give_back() noexcept {
    claim_.store(open, base::release);  // pairs with the next claim()
  }
  // The same as claim() for calls, whose outcome is certain to come.
  void claim_for_call();
  // The last touch: whoever finds it ready may free it.
  void publish() noexcept { result_.finish(); }
  void set_error(std::exception_ptr thrown) noexcept { error_ = std::move(thrown); }

  struct published_note : exit_note {
    basic_future_state* state = nullptr;
  };
  static std::unique_ptr<published_note> make_note();
  void add_note(std::unique_ptr<published_note> note) noexcept;

 private:
  enum : std::uint32_t { open = 0, storing = 1, claimed = 2 };

  template <class Make>
  void store(Make&& make) {
    claim();
    if constexpr (std::is_nothrow_invocable_v<Make>) {
      make();
    } else {
      try {
        make();
      } catch (...) {
        give_back();
        throw;
      }
    }
    claim_.store(claimed, base::release);  // pairs with claim(), which looks at it no more
  }

  typename Ground::template flag<std::uint32_t> references_{1};
  typename Ground::template atomic<std::uint32_t> claim_{open};
  sync::basic_result<Ground> result_;
  typename Ground::template flag<bool> retrieved_{false};
  typename Ground::template flag<call> call_;
  std::exception_ptr error_;  // written by who claimed, read when it is ready
};

extern template class basic_future_state<sync::result_ground>;
using future_state = basic_future_state<sync::result_ground>;

// What is kept for a result of type R.
struct no_value {};
template <class R>
using kept_for = std::conditional_t<
    std::is_void_v<R>, no_value,
    std::conditional_t<std::is_reference_v<R>, std::add_pointer_t<std::remove_reference_t<R>>, R>>;

template <class R, class Ground>
class basic_result_state : public basic_future_state<Ground> {
 public:
  basic_result_state() noexcept = default;

  template <class... Args>
  void make_value(Args&&... args) {
    value_.emplace(std::forward<Args>(args)...);
  }
  kept_for<R>& value() noexcept { return *value_; }

 protected:
  explicit basic_result_state(typename basic_future_state<Ground>::call kind) noexcept
      : basic_future_state<Ground>(kind) {}

  // Stores what `function` returns or throws; the state is claimed.
  template <class F>
  void store_outcome(F&& function) noexcept {
    try {
      if constexpr (std::is_void_v<R>) {
        std::forward<F>(function)();
        value_.emplace();
      } else if constexpr (std::is_reference_v<R>) {
        value_.emplace(std::addressof(std::forward<F>(function)()));
      } else {
        value_.emplace(std::forward<F>(function)());
      }
    } catch (...) {
      this->set_error(std::current_exception());
    }
  }

 private:
  std::optional<kept_for<R>> value_;  // written by who claimed, read when it is ready
};

template <class R>
using result_state = basic_result_state<R, sync::result_ground>;

// A state in memory of an allocator.
template <class R, class Allocator>
class allocated_state final : public result_state<R> {
 public:
  using own_allocator =
      typename std::allocator_traits<Allocator>::template rebind_alloc<allocated_state>;

  static result_state<R>* make(const Allocator& allocator) {
    own_allocator own(allocator);
    const auto made = std::allocator_traits<own_allocator>::allocate(own, 1);  // a fancy pointer?
    return ::new (static_cast<void*>(std::to_address(made))) allocated_state(own);
  }

 private:
  explicit allocated_state(const own_allocator& from) noexcept : allocator_(from) {}
  void dispose() noexcept override {
    using traits = std::allocator_traits<own_allocator>;
    own_allocator own(allocator_);
    const auto all = std::pointer_traits<typename traits::pointer>::pointer_to(*this);
    this->~allocated_state();
    traits::deallocate(own, all, 1);
  }

  [[no_unique_address]] own_allocator allocator_;
};

// One holder's share of a state.
template <class State>
class state_handle {
 public:
  state_handle() noexcept = default;
  // Takes over the caller's count.
  explicit state_handle(State* counted) noexcept : state_(counted) {}
  state_handle(const state_handle& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->share();
  }
  state_handle(state_handle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  template <class Other>
  state_handle(state_handle<Other>&& other) noexcept  // NOLINT: implicit, to a base
      : state_(other.give_up()) {}
  state_handle& operator=(state_handle other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~state_handle() {
    if (state_ != nullptr) state_->release();
  }

  explicit operator bool() const noexcept { return state_ != nullptr; }
  State* operator->() const noexcept { return state_; }
  State* get() const noexcept { return state_; }
  // future_error no_state when there is none.
  State& checked() const {
    if (state_ == nullptr) throw_future_error(std::future_errc::no_state);
    return *state_;
  }
  State* give_up() noexcept { return std::exchange(state_, nullptr); }

 private:
  State* state_ = nullptr;
};

// A callable with its arguments, decayed, called once as an rvalue, with its result.
template <class F, class... Args>
class kept_call {
 public:
  using result = std::invoke_result_t<F, Args...>;

  template <class Function, class... Values>
  explicit kept_call(Function&& function, Values&&... values)
      : parts_(std::forward<Function>(function), std::forward<Values>(values)...) {}
  result operator()() {
    return std::apply(
        [](F&& function, Args&&... args) -> result {
          return std::invoke(std::move(function), std::move(args)...);
        },
        std::move(parts_));
  }

 private:
  std::tuple<F, Args...> parts_;
};

}  // namespace treadle::detail
