// wait_limit, the last parameter of calls that block; see treadle/base/wait_limit.hpp.
//
// Every wait of the core has a form with a limit, and its name begins with try_: try_acquire,
// try_lock, try_wait, try_join. It returns true when it got what it waited for and false when the
// limit came first; the token says whether that was a stop. What is there already is taken, also
// when the limit has ended before the call: of a grant and a limit exactly one wins, and nothing
// is lost. No wait of the core ends for the thread's own token (this_thread::stop_token()), unless
// it is given: `if (!items.try_acquire(this_thread::stop_token())) return;`
#pragma once

#include "treadle/base/wait_limit.hpp"

namespace treadle {

using base::wait_limit;

namespace co {
struct access;  // how tasks reach what lies below a class of the API (co.hpp)
}

}  // namespace treadle
