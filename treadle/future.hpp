// Futures, shaped like <future>: future, shared_future, promise, packaged_task, async; and
// when_all and when_any.
//
// Waiting parks the treadle thread, not its worker; whoever provides the outcome hands over to the
// waiting threads directly. Providers and waiters may be threads of any runtime and foreign kernel
// threads. The error classes are the standard library's own.
#pragma once

#include "treadle/async.hpp"
#include "treadle/packaged_task.hpp"
#include "treadle/promise.hpp"
#include "treadle/when.hpp"
