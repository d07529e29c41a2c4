#include "treadle/shim/calls/sleeping.hpp"

#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/threads/wait.hpp"

namespace treadle::shim {

long serve_sleep(saved_call& call) noexcept {
  const bool has_clock = call.number == SYS_clock_nanosleep;
  const auto clock = static_cast<clockid_t>(has_clock ? call.arguments[0] : CLOCK_MONOTONIC);
  const bool absolute = has_clock && (call.arguments[1] & TIMER_ABSTIME) != 0;
  const auto* wanted = reinterpret_cast<const timespec*>(call.arguments[has_clock ? 2 : 0]);
  auto* rest = reinterpret_cast<timespec*>(call.arguments[has_clock ? 3 : 1]);
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return pass_on_blocking(call);
  if (!is_valid(*wanted)) return -EINVAL;
  const base::deadline until = absolute ? deadline_at(clock, *wanted) : deadline_after(*wanted);
  const wait_result how =
      wait_for(*call.caller, until, core::wait_reason::sleep, []() noexcept { return false; });
  if (how != wait_result::interrupted) return 0;
  if (rest != nullptr && !absolute) {
    const std::int64_t left = until.nanoseconds() - base::monotonic_now();
    *rest = timespec_of(left > 0 ? left : 0);
  }
  return -EINTR;
}

}  // namespace treadle::shim
