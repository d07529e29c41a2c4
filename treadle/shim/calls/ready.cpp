#include "treadle/shim/calls/ready.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <cerrno>
#include <stop_token>

#include "treadle/io/calls.hpp"
#include "treadle/io/own_errno.hpp"
#include "treadle/shim/kernel_call.hpp"

namespace treadle::shim {
namespace {

// The io room knows stop tokens, not signals.
struct stopper_by_token : wait_stopper {
  explicit stopper_by_token(program_thread& waiter) noexcept
      : wait_stopper{&stopper_by_token::request}, self(waiter) {
    {
      const base::guard hold(threads().lock);
      self.stopper = this;
    }
    // seq_cst: after the stopper is there; see program_thread::deliverable()
    self.interruptible.store(true, base::seq_cst);
  }
  ~stopper_by_token() {
    self.interruptible.store(false, base::seq_cst);  // before the stopper goes
    const base::guard hold(threads().lock);
    self.stopper = nullptr;
  }
  static void request(wait_stopper& mine) noexcept {
    static_cast<stopper_by_token&>(mine).source.request_stop();
  }

  program_thread& self;
  std::stop_source source;
};

io::wait_limit limit_of(base::deadline until, std::stop_token stop) noexcept {
  if (until.is_never()) return io::wait_limit(std::move(stop));
  const std::chrono::steady_clock::time_point point{std::chrono::nanoseconds(until.nanoseconds())};
  return io::wait_limit(point, std::move(stop));
}

// A socket's own time-out (SO_RCVTIMEO, SO_SNDTIMEO).
base::deadline own_limit(int descriptor, short events) noexcept {
  const int option = events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO;
  timeval span{};
  socklen_t size = sizeof(span);
  const long error = kernel_call(SYS_getsockopt, descriptor, SOL_SOCKET, option, &span, &size);
  if (error != 0 || (span.tv_sec == 0 && span.tv_usec == 0)) return base::deadline::never();
  return base::deadline::at(base::monotonic_now() + span.tv_sec * base::nanoseconds_per_second +
                            span.tv_usec * 1000);
}

}  // namespace

long wait_ready(program_thread& self, pollfd* those, nfds_t count, base::deadline until) noexcept {
  const timespec at_once{};
  const long found = kernel_call(SYS_ppoll, those, count, &at_once, nullptr, 0);
  if (found != 0 || until.has_passed()) return found;
  // One who was told of a signal that is not for it after all has not been interrupted.
  for (;;) {
    stopper_by_token stopper(self);
    if (self.deliverable() != 0) return -EINTR;
    const int result = io::poll(those, count, limit_of(until, stopper.source.get_token()));
    if (result >= 0) return result;
    if (const int error = io::own_errno(); error != ECANCELED) return -error;
  }
}

long wait_ready(program_thread& self, int descriptor, short events, base::deadline until) noexcept {
  pollfd one{descriptor, events, 0};
  const long found = wait_ready(self, &one, 1, until);
  if (found < 0) return found;
  return found == 0 ? -EAGAIN : 0;
}

// Of several that one event has woken all but the first wait again: the call would block their
// worker.
long wait_until_ready(program_thread& self, int descriptor, short events,
                      base::deadline until) noexcept {
  do {
    if (const long waited = wait_ready(self, descriptor, events, until)) return waited;
  } while (!is_ready(descriptor, events));
  return 0;
}

bool is_non_blocking(int descriptor) noexcept {
  const long flags = kernel_call(SYS_fcntl, descriptor, F_GETFL);
  return flags < 0 || (flags & O_NONBLOCK) != 0;
}

bool is_ready(int descriptor, short events) noexcept {
  pollfd one{descriptor, events, 0};
  const timespec at_once{};
  return kernel_call(SYS_ppoll, &one, 1, &at_once, nullptr, 0) != 0;
}

bool is_listening(int descriptor) noexcept {
  int value = 0;
  socklen_t size = sizeof(value);
  const long error =
      kernel_call(SYS_getsockopt, descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &size);
  return error == 0 && value != 0;
}

long wait_before(program_thread& self, int descriptor, short events) noexcept {
  if (is_ready(descriptor, events) || is_non_blocking(descriptor)) return 0;
  return wait_until_ready(self, descriptor, events, own_limit(descriptor, events));
}

long wait_after(program_thread& self, int descriptor, short events) noexcept {
  if (is_non_blocking(descriptor)) return -EAGAIN;
  return wait_ready(self, descriptor, events, own_limit(descriptor, events));
}

}  // namespace treadle::shim
