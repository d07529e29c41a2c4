// The workloads of tasks. Only Treadle has them, so they need no adapter; each runs inside enter(),
// as a thread that starts the first task and waits for it. Kept out of the peers' own headers: the
// tasks themselves are in peer_treadle_tasks.cpp.
#pragma once

#include "measure.hpp"

namespace treadle::bench {

/// A task makes as many, one after another, and awaits each.
repetition await_tasks(long tasks);
/// fib by when_all() of two: each of both children is a spawn, so there are twice as many as
/// fibonacci_tree() counts.
repetition task_tree(long n);
/// All asleep for an hour; memory.
repetition sleep_as_tasks(long tasks);

}  // namespace treadle::bench
