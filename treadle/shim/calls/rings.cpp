// io_uring_enter: what is to be submitted goes to the kernel at once; who then waits for one
// completion parks until the ring says, as a descriptor, that it has one.
//
// What else can be asked for (several completions, a mask, rings by a registered number) blocks the
// worker, as any other call that may block.
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/descriptors.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"

namespace treadle::shim {
namespace {

// Guess: a ring that completes nothing unless it is asked (IORING_SETUP_IOPOLL) is asked so often.
constexpr std::int64_t look_nanoseconds = 5'000'000;

// Sourced: <linux/io_uring.h>, the first form of what IORING_ENTER_EXT_ARG points at.
struct wait_argument {
  std::uint64_t mask;
  std::uint32_t mask_size;
  std::uint32_t least_wait;
  std::uint64_t span;
};

// False where the call is more than a wait for one completion, at most until a point in time.
bool is_plain_wait(const saved_call& call, base::deadline& until) noexcept {
  const std::uint64_t flags = call.arguments[3];
  if (call.arguments[2] != 1 || (flags & IORING_ENTER_GETEVENTS) == 0) return false;
  until = base::deadline::never();
  if (flags == IORING_ENTER_GETEVENTS) return call.arguments[4] == 0;
  if (flags != (IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG)) return false;
  wait_argument argument;
  __kernel_timespec span;
  // What is wrong with it the kernel says.
  if (call.arguments[5] != sizeof(argument) || !read_program(call.arguments[4], argument)) {
    return false;
  }
  if (argument.mask != 0 || argument.least_wait != 0) return false;
  if (argument.span == 0) return true;
  if (!read_program(argument.span, span)) return false;
  const timespec wanted{static_cast<time_t>(span.tv_sec), static_cast<long>(span.tv_nsec)};
  if (!is_valid(wanted)) return false;
  until = deadline_after(wanted);
  return true;
}

}  // namespace

long serve_ring(saved_call& call) noexcept {
  base::deadline until = base::deadline::never();
  if (!is_plain_wait(call, until)) return pass_on_blocking(call);
  const int ring = static_cast<int>(call.arguments[0]);
  const std::uint64_t count = call.arguments[1];
  // Without waiting, and before that: it also checks what it is asked.
  saved_call submission = call;
  submission.arguments[2] = 0;
  const long submitted = pass_on_blocking(submission);
  if (submitted < 0 || static_cast<std::uint64_t>(submitted) != count) return submitted;
  const auto end_with = [submitted](long result) { return submitted > 0 ? submitted : result; };
  while (!is_ready(ring, POLLIN)) {
    const std::int64_t next = base::monotonic_now() + look_nanoseconds;
    const bool is_last = !until.is_never() && until.nanoseconds() <= next;
    const long waited =
        wait_ready(*call.caller, ring, POLLIN, is_last ? until : base::deadline::at(next));
    if (waited == 0) break;
    if (waited != -EAGAIN) return end_with(waited);
    if (is_last) return end_with(-ETIME);
    kernel_call(SYS_io_uring_enter, ring, 0, 0, IORING_ENTER_GETEVENTS, nullptr, 8);
  }
  return submitted;
}

}  // namespace treadle::shim
