// A task's wait for a descriptor, where the runtime has a poller.
#pragma once

#include <cerrno>
#include <cstdint>

#include "treadle/io/waiting.hpp"
#include "treadle/task/suspension.hpp"

namespace treadle::tasks {

// co_await gives 0: try again; or EBADF, ETIMEDOUT, ECANCELED, or the poller's errno.
class io_wait : public suspension<io_wait>, public limits<io_wait> {
 public:
  static constexpr core::wait_reason why = core::wait_reason::io;

  io_wait(const io::call_target& target, std::uint32_t seen, std::uint32_t wanted,
          base::wait_limit within) noexcept
      : limits<io_wait>(std::move(within)), target_(target), seen_(seen) {
    node_.wanted = wanted;
  }
  io_wait(const io_wait&) = delete;
  io_wait& operator=(const io_wait&) = delete;

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    attach(caller);
    engine& home = caller.promise().own_line().home();
    node_.who = &self();
    error_ = io::begin_wait(target_, seen_, node_, *home.home().events, queued_);
    if (!queued_) return false;
    arm(home);
    if (is_over()) return false;
    park();
    return true;
  }
  int await_resume() noexcept {
    disarm();
    if (!queued_) return error_;
    if (gave_up()) return limit().stop().stop_requested() ? ECANCELED : ETIMEDOUT;
    // relaxed: is_over() has looked
    return node_.outcome.load(base::relaxed) == io::wait_outcome::ready ? 0 : EBADF;
  }

  bool is_over() const noexcept {
    // acquire: pairs with whoever ends the wait
    return gave_up() || node_.outcome.load(base::acquire) != io::wait_outcome::waiting;
  }
  core::thread* who() const noexcept { return &self(); }
  bool withdraw() noexcept { return target_.which->give_up(node_); }

 private:
  const io::call_target target_;
  const std::uint32_t seen_;
  int error_ = 0;
  bool queued_ = false;
  io::descriptor_waiter node_;
};

}  // namespace treadle::tasks
