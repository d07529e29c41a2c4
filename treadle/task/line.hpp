// One line of control: a spawned task, or a child of when_all(), with all that it awaits.
//
// Whatever the coroutines of a line wait for, they wait with the line's record, one at a time. A
// spawned task has one from the start; a child of when_all() takes one when it first waits, and
// most never do.
#pragma once

#include <cstdint>
#include <new>
#include <stop_token>

#include "treadle/task/engine.hpp"

namespace treadle::tasks {

// What the children of a when_all() have in common; lies in the frame of their parent, as they do.
struct fork_setting {
  engine* home;
  const std::stop_token* stop;
};
struct fork_line {
  const fork_setting* group;
  core::thread* record;  // the line's own: null until it waits
};

class line {
 public:
  line() noexcept = default;
  explicit line(core::thread& spawned) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(&spawned)) {}
  explicit line(fork_line& child) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(&child) | is_fork) {}

  engine& home() const noexcept {
    if ((word_ & is_fork) != 0) return *fork().group->home;
    return *spawned().scheduler->tasks;
  }
  // The token that asks all of the line to stop; null when there is none.
  const std::stop_token* stop() const noexcept {
    if ((word_ & is_fork) != 0) return fork().group->stop;
    return reinterpret_cast<const std::stop_token*>(spawned().last_word);
  }
  // std::bad_alloc for a child that has none, and gets none.
  core::thread& record() const {
    if ((word_ & is_fork) == 0) return spawned();
    fork_line& child = fork();
    if (child.record == nullptr) child.record = child.group->home->make_record();
    if (child.record == nullptr) throw std::bad_alloc();
    return *child.record;
  }

 private:
  static constexpr std::uintptr_t is_fork = 1;

  fork_line& fork() const noexcept { return *reinterpret_cast<fork_line*>(word_ & ~is_fork); }
  core::thread& spawned() const noexcept { return *reinterpret_cast<core::thread*>(word_); }

  std::uintptr_t word_ = 0;
};

}  // namespace treadle::tasks
