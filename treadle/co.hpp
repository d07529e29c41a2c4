// What a task waits for with co_await: everything that a thread may wait for.
//
// Each function here is the co_await form of a call of the API, and means the same: what counts as
// done, who is served first, what happens-before what. The objects are the same ones: threads,
// foreign kernel threads and tasks may stand on any side of them. While a task waits, its carrier
// runs others.
// With a limit as the last argument (treadle/wait_limit.hpp) the co_await gives whether it got what
// it waited for. A task's own token (spawn(task, token), co::stop_token()) ends sleeps and I/O;
// other waits end for a token only if it is given.
// A mutex that a task holds belongs to the task, wherever it goes on: it is unlocked through the
// lock that co::lock() gave, and never by mutex::unlock().
// Errors: as the calls of threads; std::bad_alloc and std::system_error where the runtime finds no
// memory for a record.
#pragma once

#include "treadle/co_broadcast.hpp"
#include "treadle/co_channels.hpp"
#include "treadle/co_io.hpp"
#include "treadle/co_locks.hpp"
#include "treadle/co_results.hpp"
#include "treadle/co_select.hpp"
#include "treadle/co_time.hpp"
#include "treadle/co_waits.hpp"
#include "treadle/co_when.hpp"
