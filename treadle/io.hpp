// Calls that wait for the world: POSIX's names, arguments and results, with a limit as the last
// parameter, where only the calling thread waits; and classes for sockets. See the parts.
//
// After a call that failed, read io::own_errno() and not errno: see io/own_errno.hpp.
#pragma once

#include "treadle/io/calls.hpp"
#include "treadle/io/files.hpp"
#include "treadle/io/own_errno.hpp"
#include "treadle/io/socket.hpp"
#include "treadle/wait_limit.hpp"
