// What stops an io call: its limit's token, and the calling thread's own.
//
// Every call asks is_stopped() first, and waits with both tokens. Called by the thread that makes
// the call.
#pragma once

#include <functional>
#include <stop_token>

#include "treadle/base/wait_limit.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {

inline const std::stop_token* own_stop_token() noexcept {
  return core::own_stop_token(core::current_thread());
}

inline bool is_stopped(const base::wait_limit& limit) noexcept {
  if (limit.stop().stop_requested()) return true;
  const std::stop_token* own = own_stop_token();
  return own != nullptr && own->stop_requested();
}

inline bool may_be_stopped(const base::wait_limit& limit) noexcept {
  if (limit.stop().stop_possible()) return true;
  const std::stop_token* own = own_stop_token();
  return own != nullptr && own->stop_possible();
}

// As std::stop_callback, for both: calls `function` when one is requested, twice when both are.
template <class Function>
class on_stop {
 public:
  on_stop(const base::wait_limit& limit, Function& function) noexcept
      : first_(limit.stop(), std::ref(function)), second_(own(), std::ref(function)) {}
  on_stop(const on_stop&) = delete;
  on_stop& operator=(const on_stop&) = delete;

 private:
  static std::stop_token own() noexcept {
    const std::stop_token* token = own_stop_token();
    return token != nullptr ? *token : std::stop_token();
  }

  std::stop_callback<std::reference_wrapper<Function>> first_;
  std::stop_callback<std::reference_wrapper<Function>> second_;
};

}  // namespace treadle::io
