#include "treadle/base/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace treadle::base {

void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected,
                deadline until) noexcept {
  const int saved = errno;
  timespec at{};
  timespec* limit = nullptr;
  if (!until.is_never()) {
    at.tv_sec = until.nanoseconds() / nanoseconds_per_second;
    at.tv_nsec = until.nanoseconds() % nanoseconds_per_second;
    limit = &at;
  }
  // The bitset form takes an absolute CLOCK_MONOTONIC time: no drift over spurious returns.
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, limit, nullptr,
            FUTEX_BITSET_MATCH_ANY);
  errno = saved;
}

void futex_wake(const atomic<std::uint32_t>& word, int count) noexcept {
  const int saved = errno;
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
  errno = saved;
}

}  // namespace treadle::base
