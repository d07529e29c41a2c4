#include "treadle/shim/descriptors.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>

#include "treadle/io/calls.hpp"
#include "treadle/shim/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/name_files.hpp"
#include "treadle/shim/ready.hpp"
#include "treadle/shim/signals.hpp"
#include "treadle/shim/takeover.hpp"

namespace treadle::shim {
namespace {

constexpr int without_waiting = 0x8;  // sourced: RWF_NOWAIT
constexpr long at_its_place = -1;     // sourced: preadv2(2), the file's own offset

int descriptor_of(const saved_call& call) noexcept { return static_cast<int>(call.arguments[0]); }

// A socket's own time-out (SO_RCVTIMEO, SO_SNDTIMEO).
base::deadline own_limit(int descriptor, int option) noexcept {
  timeval span{};
  socklen_t size = sizeof(span);
  const long error = kernel_call(SYS_getsockopt, descriptor, SOL_SOCKET, option, &span, &size);
  if (error != 0 || (span.tv_sec == 0 && span.tv_usec == 0)) return base::deadline::never();
  return base::deadline::at(base::monotonic_now() + span.tv_sec * base::nanoseconds_per_second +
                            span.tv_usec * 1000);
}

// Before a call that cannot be tried: 0 when it is to be made.
long wait_before(saved_call& call, short events, int option) noexcept {
  const int descriptor = descriptor_of(call);
  pollfd one{descriptor, events, 0};
  const timespec at_once{};
  if (kernel_call(SYS_ppoll, &one, 1, &at_once, nullptr, 0) != 0) return 0;
  if (is_non_blocking(descriptor)) return 0;
  return wait_ready(*call.caller, descriptor, events, own_limit(descriptor, option));
}

// After a try that would have waited. 0: try again.
long wait_after(saved_call& call, short events, int option) noexcept {
  const int descriptor = descriptor_of(call);
  if (is_non_blocking(descriptor)) return -EAGAIN;
  return wait_ready(*call.caller, descriptor, events, own_limit(descriptor, option));
}

bool is_ready(int descriptor, short events) noexcept {
  pollfd one{descriptor, events, 0};
  const timespec at_once{};
  return kernel_call(SYS_ppoll, &one, 1, &at_once, nullptr, 0) != 0;
}

long note_broken_pipe(saved_call& call, long result) noexcept {
  if (result == -EPIPE) take_over_raised(*call.caller, SIGPIPE);
  return result;
}

struct parts {
  explicit parts(const saved_call& call) noexcept {
    if (call.number == SYS_read || call.number == SYS_write) {
      own = {reinterpret_cast<void*>(call.arguments[1]), call.arguments[2]};
      first = &own;
      count = 1;
    } else {
      first = reinterpret_cast<const iovec*>(call.arguments[1]);
      count = static_cast<long>(call.arguments[2]);
    }
  }
  iovec own{};
  const iovec* first;
  long count;
};

}  // namespace

long serve_read(saved_call& call) noexcept {
  const int descriptor = descriptor_of(call);
  const parts into(call);
  for (;;) {
    const long got = kernel_call(SYS_preadv2, descriptor, into.first, into.count, at_its_place,
                                 at_its_place, without_waiting);
    if (got == -EOPNOTSUPP || got == -EINVAL || got == -ESPIPE) {
      const long waited = wait_before(call, POLLIN, SO_RCVTIMEO);
      return waited != 0 ? waited : pass_on_blocking(call);
    }
    if (got != -EAGAIN) return got;
    // A file whose pages are not in memory is always ready.
    if (is_ready(descriptor, POLLIN)) return pass_on_blocking(call);
    if (const long waited = wait_after(call, POLLIN, SO_RCVTIMEO)) return waited;
  }
}

long serve_write(saved_call& call) noexcept {
  const int descriptor = descriptor_of(call);
  if (has_name_files() && call.number == SYS_write &&
      write_name(descriptor, reinterpret_cast<const void*>(call.arguments[1]), call.arguments[2])) {
    return static_cast<long>(call.arguments[2]);
  }
  if (call.number == SYS_writev) {
    const long waited = wait_before(call, POLLOUT, SO_SNDTIMEO);
    return waited != 0 ? waited : note_broken_pipe(call, pass_on_blocking(call));
  }
  auto* const text = reinterpret_cast<char*>(call.arguments[1]);
  const std::uint64_t all = call.arguments[2];
  std::uint64_t done = 0;
  do {
    const iovec rest{text + done, all - done};
    const long put = kernel_call(SYS_pwritev2, descriptor, &rest, 1, at_its_place, at_its_place,
                                 without_waiting);
    if (put >= 0) {
      done += static_cast<std::uint64_t>(put);
      if (put == 0) break;
      continue;
    }
    const bool cannot_try = put == -EOPNOTSUPP || put == -EINVAL || put == -ESPIPE;
    if (done == 0 && (cannot_try || (put == -EAGAIN && is_ready(descriptor, POLLOUT)))) {
      const long waited = cannot_try ? wait_before(call, POLLOUT, SO_SNDTIMEO) : 0;
      return waited != 0 ? waited : note_broken_pipe(call, pass_on_blocking(call));
    }
    if (put != -EAGAIN) {
      return done != 0 ? static_cast<long>(done) : note_broken_pipe(call, put);
    }
    if (const long waited = wait_after(call, POLLOUT, SO_SNDTIMEO)) {
      return done != 0 ? static_cast<long>(done) : waited;
    }
  } while (done < all);
  return static_cast<long>(done);
}

long serve_socket(saved_call& call) noexcept {
  const bool receives = call.number == SYS_recvfrom || call.number == SYS_recvmsg;
  const unsigned flags_at = call.number == SYS_recvmsg || call.number == SYS_sendmsg ? 2 : 3;
  const std::uint64_t flags = call.arguments[flags_at];
  // Tries of a part would have to be put together.
  if ((flags & (MSG_DONTWAIT | MSG_WAITALL)) != 0 || !receives) {
    const short events = receives ? POLLIN : POLLOUT;
    const int option = receives ? SO_RCVTIMEO : SO_SNDTIMEO;
    const long waited = (flags & MSG_DONTWAIT) != 0 ? 0 : wait_before(call, events, option);
    const long result = waited != 0 ? waited : pass_on_blocking(call);
    return (flags & MSG_NOSIGNAL) != 0 || receives ? result : note_broken_pipe(call, result);
  }
  for (;;) {
    saved_call tried = call;
    tried.arguments[flags_at] |= MSG_DONTWAIT;
    const long result = pass_on(tried);
    if (result != -EAGAIN) return result;
    if (const long waited = wait_after(call, POLLIN, SO_RCVTIMEO)) return waited;
  }
}

long serve_accept(saved_call& call) noexcept {
  const long waited = wait_before(call, POLLIN, SO_RCVTIMEO);
  return waited != 0 ? waited : pass_on_blocking(call);
}

long serve_close(saved_call& call) noexcept {
  if (has_name_files()) forget_name_file(descriptor_of(call));
  if (call.number == SYS_close_range) {
    // Numbers beyond what the io room has seen cost nothing there.
    const auto last = call.arguments[1] < 65535 ? call.arguments[1] : 65535;
    for (std::uint64_t one = call.arguments[0]; one <= last; ++one) {
      io::forget(static_cast<int>(one));
    }
  } else {
    io::forget(static_cast<int>(call.arguments[call.number == SYS_close ? 0 : 1]));
  }
  return pass_on(call);
}

}  // namespace treadle::shim
