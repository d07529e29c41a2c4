// The class jthread, of <treadle/thread.hpp>.
#pragma once

#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "treadle/plain_thread.hpp"

namespace treadle {

// A thread that is asked to stop and joined when it is destroyed. While its function runs, its
// token is also what this_thread::stop_token() gives. Source: std::jthread.
class jthread {
 public:
  using id = thread::id;

  jthread() noexcept : source_(std::nostopstate) {}
  template <class F, class... Args>
  requires(
      !std::is_same_v<std::remove_cvref_t<F>, jthread> &&
      !std::is_same_v<std::remove_cvref_t<F>, thread_attributes>) explicit jthread(F&& function,
                                                                                   Args&&... args)
      : jthread(thread_attributes{}, std::forward<F>(function), std::forward<Args>(args)...) {}
  template <class F, class... Args>
  jthread(const thread_attributes& attributes, F&& function, Args&&... args)
      : thread_(
            start(attributes, source_, std::forward<F>(function), std::forward<Args>(args)...)) {}
  jthread(const jthread&) = delete;
  jthread& operator=(const jthread&) = delete;
  jthread(jthread&&) noexcept = default;
  jthread& operator=(jthread&& other) noexcept {
    jthread(std::move(other)).swap(*this);
    return *this;
  }
  ~jthread() {
    if (joinable()) {
      request_stop();
      join();
    }
  }

  bool joinable() const noexcept { return thread_.joinable(); }
  void join() { thread_.join(); }
  bool try_join(const wait_limit& limit) { return thread_.try_join(limit); }
  void detach() { thread_.detach(); }
  id get_id() const noexcept { return thread_.get_id(); }
  thread_state state() const { return thread_.state(); }
  treadle::priority priority() const { return thread_.priority(); }
  treadle::priority effective_priority() const { return thread_.effective_priority(); }
  bool set_priority(treadle::priority wanted) { return thread_.set_priority(wanted); }
  std::stop_source get_stop_source() noexcept { return source_; }
  std::stop_token get_stop_token() const noexcept { return source_.get_token(); }
  bool request_stop() noexcept { return source_.request_stop(); }
  void swap(jthread& other) noexcept {
    std::swap(source_, other.source_);
    thread_.swap(other.thread_);
  }
  friend void swap(jthread& a, jthread& b) noexcept { a.swap(b); }
  static unsigned hardware_concurrency() noexcept { return thread::hardware_concurrency(); }

 private:
  template <class F, class... Args>
  static thread start(const thread_attributes& attributes, std::stop_source& source, F&& function,
                      Args&&... args) {
    if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<Args>...>) {
      return start_call<thread::call_of<F, std::stop_token, Args...>>(
          attributes, source.get_token(), std::forward<F>(function), source.get_token(),
          std::forward<Args>(args)...);
    } else {
      return start_call<thread::call_of<F, Args...>>(
          attributes, source.get_token(), std::forward<F>(function), std::forward<Args>(args)...);
    }
  }
  template <class Call, class... Parts>
  static thread start_call(const thread_attributes& attributes, const std::stop_token& token,
                           Parts&&... parts) {
    return thread(detail::launch::start_made<detail::stoppable_call<Call>>(
        detail::launch::scheduler_for(attributes), &attributes, token, std::in_place,
        std::forward<Parts>(parts)...));
  }

  friend struct co::access;
  std::stop_source source_;
  thread thread_;
};

}  // namespace treadle
