#include "treadle/io/kernel_wait.hpp"

#include <unistd.h>

#include <ctime>

#include "treadle/base/solo.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/io/cancellation.hpp"
#include "treadle/io/own_descriptor.hpp"
#include "treadle/io/receive_queue.hpp"

namespace treadle::io {
namespace {

struct spare_eventfds {
  // Guess: more kernel threads than this seldom wait at the same time.
  static constexpr int capacity = 64;
  base::spin_lock lock;
  // Guarded by lock.
  int count = 0;
  int numbers[capacity] = {};
};

constinit spare_eventfds spares;

// With the node in the list. Poll's own answer, then what the node says.
// Where a ring reads, what it has read is told by whoever collects for it.
int poll_beside(const call_target& target, descriptor_waiter& node, base::deadline until,
                bool ring_reads) noexcept {
  pollfd asked[2] = {};
  asked[0].fd = target.number;
  if ((node.wanted & descriptor::readable) != 0 && !ring_reads) {
    asked[0].events |= POLLIN | POLLRDHUP;
  }
  if ((node.wanted & descriptor::writable) != 0) asked[0].events |= POLLOUT;
  asked[1].fd = node.wake_descriptor;
  asked[1].events = POLLIN;
  const int count = poll_until(asked, 2, until);
  if (target.which->give_up(node)) {
    if ((asked[0].revents & POLLNVAL) != 0) return EBADF;
    return count > 0 ? 0 : count == 0 ? ETIMEDOUT : -count;
  }
  // acquire: pairs with whoever ended it
  switch (node.outcome.load(base::acquire)) {
    case wait_outcome::ready:
      return 0;
    case wait_outcome::stopped:
      return ECANCELED;
    default:
      return EBADF;
  }
}

[[gnu::noinline]] int poll_stoppable(const call_target& target, descriptor_waiter& node,
                                     const base::wait_limit& limit, bool ring_reads) noexcept {
  const auto end_it = [&]() noexcept { target.which->stop(node); };
  const on_stop watch(limit, end_it);
  return poll_beside(target, node, limit.until(), ring_reads);
}

}  // namespace

lent_eventfd::~lent_eventfd() {
  if (number_ < 0) return;
  const int saved = errno;
  std::uint64_t count = 0;
  const ssize_t drained = ::read(number_, &count, sizeof(count));
  static_cast<void>(drained);  // EAGAIN when nobody wrote
  bool kept = false;
  {
    const base::guard hold(spares.lock);
    if (spares.count < spare_eventfds::capacity) {
      spares.numbers[spares.count++] = number_;
      kept = true;
    }
  }
  if (!kept) ::close(number_);
  errno = saved;
}

int lent_eventfd::open() noexcept {
  {
    const base::guard hold(spares.lock);
    if (spares.count > 0) number_ = spares.numbers[--spares.count];
  }
  if (number_ >= 0) return 0;
  const base::descriptor_result made = base::create_eventfd();
  if (made.error == 0) number_ = move_high(made.descriptor);
  return made.error;
}

int poll_until(pollfd* descriptors, nfds_t count, base::deadline until) noexcept {
  const int saved = errno;
  int result;
  const bool away = base::go_away();
  do {
    timespec span{};
    if (!until.is_never()) {
      const std::int64_t left = until.nanoseconds() - base::monotonic_now();
      if (left > 0) {
        span.tv_sec = left / base::nanoseconds_per_second;
        span.tv_nsec = left % base::nanoseconds_per_second;
      }
    }
    result = ::ppoll(descriptors, count, until.is_never() ? nullptr : &span, nullptr);
    if (result < 0) result = -errno;
  } while (result == -EINTR);
  if (away) base::come_back();
  errno = saved;
  return result;
}

int wait_in_kernel(const call_target& target, descriptor_waiter& node,
                   const base::wait_limit& limit) noexcept {
  lent_eventfd wake;
  if (const int error = wake.open()) return error;
  node.wake_descriptor = wake.number();
  bool ring_reads = false;
  {
    const base::guard hold(target.which->lock);
    // relaxed: under the lock
    if (target.which->lifetime.load(base::relaxed) != target.lifetime) return EBADF;
    const receive_queue* ahead = target.which->ahead;
    if (ahead != nullptr && (node.wanted & descriptor::readable) != 0) {
      if (!ahead->is_empty()) return 0;
      ring_reads = ahead->is_armed();
    }
    target.which->push(node);
  }
  if (may_be_stopped(limit)) return poll_stoppable(target, node, limit, ring_reads);
  return poll_beside(target, node, limit.until(), ring_reads);
}

}  // namespace treadle::io
