// How a kernel thread without a poller waits for a descriptor: in poll(2), with an eventfd beside
// it, through which a close or a stop reaches it.
//
// Threads of scope system and foreign kernel threads. The eventfds are lent: as many are open as
// waited at the same time, up to a bound.
// Rejected: the plain blocking call (nothing but a signal could end it), an eventfd for each kernel
// thread (open for all that ever waited).
#pragma once

#include <poll.h>

#include "treadle/base/wait_limit.hpp"
#include "treadle/io/waiting.hpp"

namespace treadle::io {

// As wait_for_event().
[[nodiscard]] int wait_in_kernel(const call_target& target, descriptor_waiter& node,
                                 const base::wait_limit& limit) noexcept;

// ppoll(2) until a point of the monotonic clock; away while it blocks (base/solo.hpp). The number
// of ready descriptors or -errno; never -EINTR.
[[nodiscard]] int poll_until(pollfd* descriptors, nfds_t count, base::deadline until) noexcept;

// An eventfd for one wait; 0 or an errno.
class lent_eventfd {
 public:
  lent_eventfd() = default;
  ~lent_eventfd();
  lent_eventfd(const lent_eventfd&) = delete;
  lent_eventfd& operator=(const lent_eventfd&) = delete;

  [[nodiscard]] int open() noexcept;
  int number() const noexcept { return number_; }

 private:
  int number_ = -1;
};

}  // namespace treadle::io
