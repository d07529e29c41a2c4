// co_await on futures and threads, and blocking functions run as threads.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "treadle/co_access.hpp"
#include "treadle/promise.hpp"

namespace treadle::co {
namespace detail {

template <class R>
tasks::result_wait outcome_of(const treadle::detail::future_base<R>& which) {
  treadle::detail::future_state& state = treadle::detail::future_access::state_of(which);
  // A deferred call is run here: what waits without a limit runs it.
  if (state.is_deferred()) state.wait();
  return {{}, &state.result()};
}

template <class Future>
class getting : public tasks::wait_for<tasks::result_wait> {
 public:
  explicit getting(Future& of) : wait_for(outcome_of(of)), of_(of) {}
  decltype(auto) await_resume() { return of_.get(); }

 private:
  Future& of_;
};

}  // namespace detail

// co_await gives what get() gives, and leaves a future without its state. Errors: future_error,
// and what was thrown.
template <class R>
[[nodiscard]] auto get(future<R>&& of) {
  return detail::getting<future<R>>(of);
}
template <class R>
[[nodiscard]] auto get(const shared_future<R>& of) {
  return detail::getting<const shared_future<R>>(of);
}
// Until there is an outcome; within a limit, whether it came.
template <class R>
[[nodiscard]] auto wait(const treadle::detail::future_base<R>& of) {
  return tasks::wait_for<tasks::result_wait>(detail::outcome_of(of));
}
template <class R>
[[nodiscard]] auto wait(const treadle::detail::future_base<R>& of, wait_limit limit) {
  return tasks::wait_within<tasks::result_wait>(detail::outcome_of(of), std::move(limit));
}

namespace detail {

class joining : public tasks::wait_for_end {
 public:
  explicit joining(core::thread*& record) noexcept : wait_for_end(*record), record_(record) {}
  void await_resume() noexcept {
    core::thread& ended = *std::exchange(record_, nullptr);
    ended.scheduler->reap(ended);
  }

 private:
  core::thread*& record_;
};

}  // namespace detail

// Until the thread has ended; it is not joinable then. Errors: as thread::join().
[[nodiscard]] inline auto join(thread& which) {
  core::thread*& record = access::record(which);
  if (record == nullptr) treadle::detail::launch::fail_to_join(nullptr);
  return detail::joining(record);
}
[[nodiscard]] inline auto join(jthread& which) {
  core::thread*& record = access::record(which);
  if (record == nullptr) treadle::detail::launch::fail_to_join(nullptr);
  return detail::joining(record);
}

// Runs `function` as a thread, which may block as it likes, and gives what it returns or throws.
template <class F>
task<std::invoke_result_t<F&>> run(F function) {
  using result = std::invoke_result_t<F&>;
  tasks::outcome<result> came;
  thread runner([&]() noexcept {
    try {
      if constexpr (std::is_void_v<result>) {
        function();
      } else {
        came.return_value(function());
      }
    } catch (...) {
      came.unhandled_exception();
    }
  });
  co_await join(runner);
  co_return came.take();
}

}  // namespace treadle::co
