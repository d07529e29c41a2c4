// Everything in the public API.
#pragma once

#include "treadle/blocking.hpp"
#include "treadle/blocking_region.hpp"
#include "treadle/broadcast.hpp"
#include "treadle/channel.hpp"
#include "treadle/condition_variable.hpp"
#include "treadle/io.hpp"
#include "treadle/latch.hpp"
#include "treadle/mutex.hpp"
#include "treadle/oneshot.hpp"
#include "treadle/runtime.hpp"
#include "treadle/scope.hpp"
#include "treadle/select.hpp"
#include "treadle/semaphore.hpp"
#include "treadle/thread.hpp"
#include "treadle/thread_specific.hpp"
#include "treadle/wait_limit.hpp"
