// What the room's shared words stand on: templates take it, so that tests can put the explorer in
// its place (tests/support/explored_io.hpp).
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/scheduler.hpp"

namespace treadle::io {

struct ground {
  template <class T>
  using atomic = base::atomic<T>;
  using lock = base::spin_lock;
  // Guess: seldom do more wait on one descriptor.
  static constexpr unsigned woken_at_once = 16;

  // By the thread itself.
  static core::wake park(core::thread& self, base::deadline until) noexcept {
    return self.scheduler->park(core::wait_reason::io, until);
  }
  static void unpark(core::thread& who) noexcept { core::scheduler_port::unpark(who); }
  static void ring(int eventfd) noexcept {
    const int saved = errno;
    const std::uint64_t one = 1;
    const ssize_t written = ::write(eventfd, &one, sizeof(one));
    static_cast<void>(written);  // it would take 2^64 rings to fill the counter
    errno = saved;
  }
};

}  // namespace treadle::io
