// System calls without libc: no errno, no cancellation point, no site that may be patched.
//
// The result is the kernel's, a negative errno on failure. Any kernel thread, on either side; on
// the program's side the kernel lets these through, for their one instruction lies in the range
// that Syscall User Dispatch allows (door_x86_64.S).
#pragma once

#include <cstdint>

extern "C" long treadle_shim_kernel_call(long number, long a, long b, long c, long d, long e,
                                         long f) noexcept __attribute__((visibility("hidden")));

namespace treadle::shim {

template <class... Arguments>
long kernel_call(long number, Arguments... arguments) noexcept {
  static_assert(sizeof...(arguments) <= 6);
  long all[6] = {};
  int count = 0;
  ((all[count++] = (long)arguments), ...);
  return treadle_shim_kernel_call(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}

}  // namespace treadle::shim
