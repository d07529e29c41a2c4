// Everything in the public API.
#pragma once

#include "treadle/blocking.hpp"
#include "treadle/blocking_region.hpp"
#include "treadle/condition_variable.hpp"
#include "treadle/future.hpp"
#include "treadle/io.hpp"
#include "treadle/latch.hpp"
#include "treadle/mutex.hpp"
#include "treadle/parallel.hpp"
#include "treadle/runtime.hpp"
#include "treadle/scope.hpp"
#include "treadle/semaphore.hpp"
#include "treadle/task_group.hpp"
#include "treadle/thread.hpp"
#include "treadle/thread_pool.hpp"
#include "treadle/thread_specific.hpp"
#include "treadle/wait_limit.hpp"
