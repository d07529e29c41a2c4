// What states and reasons are called, in lists, dumps and the debugger's script.
#pragma once

#include <iterator>

#include "treadle/thread/thread.hpp"

namespace treadle::core {

inline constexpr const char* state_names[] = {"free",    "fresh",  "ready",
                                              "running", "parked", "finished"};
static_assert(std::size(state_names) == static_cast<std::size_t>(thread_state::finished) + 1);

inline constexpr const char* reason_names[] = {
    "",      "started", "yield", "mutex",      "shared_mutex", "condition", "semaphore",
    "latch", "barrier", "event", "wait_group", "once",         "rcu",       "channel",
    "join",  "scope",   "sleep", "io",         "runtime",      "preempted", "exited"};
static_assert(std::size(reason_names) == static_cast<std::size_t>(wait_reason::exited) + 1);

}  // namespace treadle::core
