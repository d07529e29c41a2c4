// async: see treadle/future.hpp, which includes this.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>

#include "treadle/promise.hpp"
#include "treadle/sync/raw_once.hpp"
#include "treadle/thread.hpp"

namespace treadle {

using std::launch;

namespace detail {

template <class Call>
class deferred_state final : public result_state<typename Call::result> {
  using base_state = result_state<typename Call::result>;

 public:
  template <class... Parts>
  explicit deferred_state(Parts&&... parts)
      : base_state(future_state::call::deferred), call_(std::forward<Parts>(parts)...) {}

 private:
  void run_deferred() override {
    if (!this->begin_call()) return;
    this->store_outcome(call_);
    this->publish();
  }

  Call call_;
};

// The thread of an async(): what its states have that does not depend on the call.
class async_thread {
 public:
  // By whoever has seen that the state is ready.
  void join();
  // For the last release. False in the thread itself, which cannot join itself and is detached.
  bool end();
  template <class Run>
  void start(Run run) {
    thread_ = thread(run);
  }

 private:
  sync::raw_once joined_;
  thread thread_;
};

template <class Call>
class async_state final : public result_state<typename Call::result> {
 public:
  template <class... Parts>
  explicit async_state(Parts&&... parts) : call_(std::forward<Parts>(parts)...) {}

  void start() {
    runs_.start([this]() noexcept { run(); });
  }
  // When it could not be started.
  Call take_call() { return std::move(call_); }

 private:
  void run() noexcept {
    bool orphaned = false;
    orphaned_ = &orphaned;
    this->store_outcome(call_);
    this->publish();
    if (orphaned) {
      delete this;
    } else {
      orphaned_ = nullptr;
    }
  }
  void settle() override { runs_.join(); }
  // The call, or a watcher in publish(), may let go of the last future: then run() frees it.
  void dispose() noexcept override {
    if (runs_.end() || orphaned_ == nullptr) {
      delete this;
    } else {
      *orphaned_ = true;
    }
  }

  Call call_;
  async_thread runs_;
  bool* orphaned_ = nullptr;  // the thread's own, while it is in run()
};

}  // namespace detail

// Calls function(args...), with copies of both, and gives the outcome to the future.
// launch::async: in a new thread, which any full wait for the future joins, and the destruction of
// the last future, too: that parks until the function has returned (but in the function itself).
// launch::deferred: in the first thread that waits without a limit, and not at all if none does.
// Both: a thread, or deferred when no thread can be had.
// Errors: std::system_error as thread's constructor (launch::async alone); std::invalid_argument
// for a policy that is neither. What the function throws goes to the future.
// To be called as treadle::async(): with an argument of namespace std, the policy among them, the
// plain name is std::async, too. Source: std::async.
template <class F, class... Args>
[[nodiscard]] future<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>> async(
    launch policy, F&& function, Args&&... args) {
  using call = detail::kept_call<std::decay_t<F>, std::decay_t<Args>...>;
  using handle = detail::state_handle<detail::result_state<typename call::result>>;
  const auto has = [policy](launch bit) { return (policy & bit) == bit; };
  if (!has(launch::async) && !has(launch::deferred)) {
    throw std::invalid_argument("treadle: async: the policy is neither async nor deferred");
  }
  using deferred = detail::deferred_state<call>;
  const auto future_of = [](auto* made) {
    return detail::future_access::make<typename call::result>(handle(made));
  };
  if (!has(launch::async)) {
    return future_of(new deferred(std::forward<F>(function), std::forward<Args>(args)...));
  }
  using started = detail::async_state<call>;
  auto made = std::make_unique<started>(std::forward<F>(function), std::forward<Args>(args)...);
  try {
    made->start();
  } catch (const std::system_error&) {
    if (!has(launch::deferred)) throw;
    return future_of(new deferred(made->take_call()));
  }
  return future_of(made.release());
}

template <class F, class... Args>
requires(!std::is_same_v<std::decay_t<F>, launch>)
    [[nodiscard]] future<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>> async(
        F&& function, Args&&... args) {
  return treadle::async(launch::async | launch::deferred, std::forward<F>(function),
                        std::forward<Args>(args)...);
}

}  // namespace treadle
