// The awaiter behind when_all(): children side by side, the parent after the last.
//
// The first child is jumped into; the others lie in the carrier's deque, where an idle carrier may
// take the oldest. At a child's end its carrier goes on with what it forked last. So if nobody
// steals, children run one after another with no queue in between, and memory is bounded by the
// depth of the tree.
// Source: the deque of a work-first scheduler, with children for continuations: Blumofe and
// Leiserson, JACM 1999.
#pragma once

#include <coroutine>
#include <cstddef>
#include <span>

#include "treadle/task/suspension.hpp"

namespace treadle::tasks {

// Before its children are made ready.
inline void begin_group(fork_group& group, std::size_t children, std::coroutine_handle<> parent,
                        const line& of, const std::stop_token* stop) noexcept {
  group.home = &of.home();
  group.stop = stop;
  group.parent = parent.address();
  group.running.start(children);
}

// Makes a child ready to be run; its frame.
template <class Promise>
void* fork_in(fork_group& group, fork_line& own, std::coroutine_handle<Promise> child) noexcept {
  own.group = &group;
  own.record = nullptr;
  child.promise().fork_in(group, own);
  return child.address();
}

// Offers one to all carriers, from `mine`, on which the parent runs. It may run and end at once:
// only the first child, which is jumped into, keeps the group here.
inline void offer(engine& home, carrier& mine, fork_line& own, void* frame) noexcept {
  if (!home.fork(mine, frame)) [[unlikely]]
    home.queue_fork(own.record, frame);
}

// The lines of as many children as there turn out to be: one block of memory of the worker's.
class fork_lines {
 public:
  explicit fork_lines(std::size_t children)
      : size_(children),
        first_(children != 0 ? new (allocate_frame(bytes())) fork_line[children] : nullptr) {}
  fork_lines(const fork_lines&) = delete;
  fork_lines& operator=(const fork_lines&) = delete;
  ~fork_lines() {
    if (first_ != nullptr) free_frame(first_, bytes());
  }

  fork_line& operator[](std::size_t i) noexcept { return first_[i]; }
  std::span<fork_line> all() noexcept { return {first_, size_}; }

 private:
  std::size_t bytes() const noexcept { return size_ * sizeof(fork_line); }

  const std::size_t size_;
  fork_line* const first_;
};

// After the group has ended.
inline void free_records(std::span<fork_line> children) noexcept {
  for (fork_line& child : children) {
    if (child.record != nullptr) [[unlikely]]
      engine::free_record(*child.record);
  }
}

}  // namespace treadle::tasks
