// The node that a sleeper brings to a timer heap (queue/timer_heap.hpp). It stands here because the
// thread's body holds one, and the thread room knows no queue.
#pragma once

#include <cstdint>

namespace treadle::base {

struct timer_node {
  std::int64_t deadline = 0;    // nanoseconds of the monotonic clock
  timer_node* child = nullptr;  // first child
  timer_node* next = nullptr;   // next sibling
  timer_node* back = nullptr;   // previous sibling, or the parent of a first child
  bool queued = false;
};

}  // namespace treadle::base
