#include "treadle/shim/threads/many_futexes.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <cerrno>

#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/futex_queue.hpp"
#include "treadle/shim/threads/futexes.hpp"

namespace treadle::shim {
namespace {

// 0 or a negative errno.
long read_limit(const saved_call& call, base::deadline& until) noexcept {
  until = base::deadline::never();
  if (call.arguments[3] == 0) return 0;
  const auto clock = static_cast<clockid_t>(call.arguments[4]);
  timespec point;
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return -EINVAL;
  if (!read_program(call.arguments[3], point)) return -EFAULT;
  if (!is_valid(point)) return -EINVAL;
  until = deadline_at(clock, point);
  return 0;
}

// As the call, but -ETIMEDOUT where it would wait.
long ask_kernel(const saved_call& call) noexcept {
  constexpr timespec past{};
  return kernel_call(SYS_futex_waitv, call.arguments[0], call.arguments[1], call.arguments[2],
                     &past, CLOCK_MONOTONIC);
}

// Of a call that the kernel has found right.
struct asked_places {
  queue_place all[queue_places_max];
  unsigned count = 0;
  bool are_private = true;

  // False where they have gone meanwhile.
  [[nodiscard]] bool read(const saved_call& call) noexcept {
    for (; count < call.arguments[1]; ++count) {
      futex_waitv one;
      if (!read_program(call.arguments[0] + count * sizeof(one), one)) return false;
      all[count] = {reinterpret_cast<const std::uint32_t*>(one.uaddr),
                    static_cast<std::uint32_t>(one.val)};
      are_private &= (one.flags & FUTEX_PRIVATE_FLAG) != 0;
    }
    return true;
  }
};

}  // namespace

long serve_futex_waitv(saved_call& call) noexcept {
  base::deadline until = base::deadline::never();
  if (const long error = read_limit(call, until)) return error;
  asked_places places;
  for (;;) {
    const long answer = ask_kernel(call);
    if (answer != -ETIMEDOUT) return answer;
    if (places.count == 0 && !places.read(call)) return -EFAULT;
    const base::deadline look = places.are_private ? until : next_shared_look(until);
    unsigned woken = 0;
    switch (wait_in_queues(*call.caller, places.all, places.count, look, woken)) {
      case queue_end::woken:
        return woken;
      case queue_end::another_value:
        return -EAGAIN;
      case queue_end::interrupted:
        return -EINTR;
      case queue_end::not_there:
        return -EFAULT;
      case queue_end::timed_out:
        if (until.has_passed()) return -ETIMEDOUT;
        break;
    }
  }
}

}  // namespace treadle::shim
