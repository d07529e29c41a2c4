#include "treadle/shim/calls/sleeping.hpp"

#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/wait.hpp"

namespace treadle::shim {

long serve_sleep(saved_call& call) noexcept {
  const bool has_clock = call.number == SYS_clock_nanosleep;
  const auto clock = static_cast<clockid_t>(has_clock ? call.arguments[0] : CLOCK_MONOTONIC);
  const bool absolute = has_clock && (call.arguments[1] & TIMER_ABSTIME) != 0;
  const std::uint64_t rest = call.arguments[has_clock ? 3 : 1];
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return pass_on_blocking(call);
  timespec wanted;
  if (!read_program(call.arguments[has_clock ? 2 : 0], wanted)) return -EFAULT;
  if (!is_valid(wanted)) return -EINVAL;
  const base::deadline until = absolute ? deadline_at(clock, wanted) : deadline_after(wanted);
  const wait_result how =
      wait_for(*call.caller, until, core::wait_reason::sleep, []() noexcept { return false; });
  if (how != wait_result::interrupted) return 0;
  if (rest != 0 && !absolute) {
    const std::int64_t left = until.nanoseconds() - base::monotonic_now();
    if (!write_program(rest, timespec_of(left > 0 ? left : 0))) return -EFAULT;
  }
  return -EINTR;
}

}  // namespace treadle::shim
