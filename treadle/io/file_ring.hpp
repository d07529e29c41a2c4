// Calls on files through io_uring: a ring that the process has, and the kernel thread that owns it.
//
// A caller hands its request over and parks; the owner submits what has come, waits for
// completions and unparks. Requests live on their callers' stacks: nobody returns before the kernel
// is done with the buffers. At a limit the caller asks for the request to be taken back and waits
// for the answer: of completion and cancellation exactly one comes, and a completion that was
// faster counts.
// At most in_flight_max requests are with the kernel; the others wait in order.
// When the kernel refuses io_uring, usable() is false and the pool makes the calls; refusal() says
// why. For want of descriptors or memory it is asked again, ten times a second at most. After
// fork() the child has no owner: see blocking_pool.hpp. Why not from the workers:
// docs/decisions/0022.
#pragma once

#include <cstdint>

#include "treadle/io/file_calls.hpp"
#include "treadle/io/file_request.hpp"

namespace treadle::io::file_ring {

// From now on. A ring that is there stays.
void choose(file_calls which) noexcept;

// True when the ring is there, which is tried at the first call.
[[nodiscard]] bool usable() noexcept;

// Why not: an errno, or 0 when it is there, was switched off, or was not asked for yet.
[[nodiscard]] int refusal() noexcept;

struct outcome {
  wait_end how;
  std::int64_t result;  // when done: as of the call, or a negative errno
};

// Only when usable(). Parks the caller. A result of -EAGAIN: to be made in another way.
outcome perform(const file_request& request, const wait_limit& limit) noexcept;

}  // namespace treadle::io::file_ring
