// What a thread can be given that std::thread has not, and the words that go with threads.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string_view>

#include "treadle/sched/scheduler.hpp"

namespace treadle {

using core::priority;
// free, fresh, ready, running, parked, finished.
using core::thread_state;

using std::nostopstate;
using std::nostopstate_t;
using std::stop_callback;
using std::stop_source;
using std::stop_token;

// POSIX's words: process scope shares the runtime's processors, system scope has a kernel thread
// of its own, whatever the model.
enum class contention_scope { process, system };

struct thread_attributes {
  std::string_view name = {};   // up to 31 bytes are kept; for reports and debuggers
  std::size_t stack_bytes = 0;  // 0: the runtime's; else stack_bytes_min to stack_bytes_max
  contention_scope scope = contention_scope::process;
  treadle::priority priority = treadle::priority::normal;
};

// Thrown by cancellation points (treadle/lifecycle.hpp) in a thread that was asked to stop, so that
// it cleans up on its way out; a jthread that it leaves ends as if it had returned. It is no
// std::exception, lest a handler for errors takes it for one.
class cancelled {};

}  // namespace treadle
