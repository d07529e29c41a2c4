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

// One child: where it is in its parent's frame, and how it starts.
struct fork_child {
  fork_line line;
  promise_base* promise = nullptr;
  void* frame = nullptr;
};

// Starts all children of a group, at least one; gives the frame to go on with.
inline std::coroutine_handle<> fork_all(fork_group& group, std::span<fork_child> children,
                                        std::coroutine_handle<> parent, const line& of,
                                        const std::stop_token* stop) {
  engine& home = of.home();
  group.parent = parent.address();
  group.running.store(children.size(), base::relaxed);  // relaxed: nobody knows it yet
  for (fork_child& child : children) {
    child.line = {&home, stop, nullptr};
    child.promise->fork_in(group, child.line);
  }
  // A child that was pushed may run and end at once: only the first keeps the group here.
  for (std::size_t i = children.size() - 1; i > 0; --i) {
    if (!home.fork(children[i].frame)) [[unlikely]]
      home.queue_fork(children[i].line.record, children[i].frame);
  }
  return jump_to(std::coroutine_handle<>::from_address(children[0].frame));
}

// After the group has ended.
inline void free_records(std::span<fork_child> children) noexcept {
  for (fork_child& child : children) {
    if (child.line.record != nullptr) [[unlikely]]
      engine::free_record(*child.line.record);
  }
}

}  // namespace treadle::tasks
