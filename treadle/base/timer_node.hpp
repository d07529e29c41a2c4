// The node that a sleeper brings to a processor's timers (queue/timer_wheel.hpp). It stands here
// because the thread's body holds one, and the thread room knows no queue.
#pragma once

#include <cstdint>

namespace treadle::base {

struct timer_node {
  // Sourced: more than the buckets of a timer_wheel, which numbers them from 0.
  static constexpr std::uint16_t unqueued = 0xffff;

  std::int64_t deadline = 0;       // nanoseconds of the monotonic clock
  timer_node* child = nullptr;     // in a heap: first child; in a bucket: only to be fetched
  timer_node* next = nullptr;      // in a heap: next sibling; in a bucket: next
  timer_node* back = nullptr;      // previous one, or the parent of a first child, or null
  std::uint16_t place = unqueued;  // where in a timer_wheel
  bool armed = false;              // for a timer_queue: stands for a thread that is to be woken
};

}  // namespace treadle::base
