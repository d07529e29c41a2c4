#include "treadle/shim/calls/descriptors.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>

#include "treadle/io/calls.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/calls/untried.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/name_files.hpp"

namespace treadle::shim {
namespace {

constexpr int without_waiting = 0x8;  // sourced: RWF_NOWAIT
constexpr long at_its_place = -1;     // sourced: preadv2(2), the file's own offset

int descriptor_of(const saved_call& call) noexcept { return static_cast<int>(call.arguments[0]); }

struct parts {
  explicit parts(const saved_call& call) noexcept {
    if (call.number == SYS_read) {
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
  // The driver may have an answer, which is not asked for parts that are empty.
  if (call.number == SYS_read && call.arguments[2] == 0) {
    return read_untried(call, into.first, into.count);
  }
  for (;;) {
    const long got = kernel_call(SYS_preadv2, descriptor, into.first, into.count, at_its_place,
                                 at_its_place, without_waiting);
    if (got == -EOPNOTSUPP) return read_untried(call, into.first, into.count);
    if (got == -EINVAL) return pass_on_blocking(call);  // it says why, perhaps otherwise
    if (got != -EAGAIN) return got;
    // A file whose pages are not in memory is always ready.
    if (is_ready(descriptor, POLLIN)) return pass_on_blocking(call);
    if (const long waited = wait_after(*call.caller, descriptor, POLLIN)) return waited;
  }
}

namespace {

// After a try that found nothing: whether the kernel would not wait either.
bool never_waits(int descriptor, std::uint64_t flags) noexcept {
  const auto option = [descriptor](int which) noexcept {
    int value = 0;
    socklen_t size = sizeof(value);
    kernel_call(SYS_getsockopt, descriptor, SOL_SOCKET, which, &value, &size);
    return value;
  };
  if ((flags & MSG_OOB) != 0 && option(SO_TYPE) == SOCK_STREAM) return true;
  if ((flags & MSG_ERRQUEUE) == 0) return false;
  const int domain = option(SO_DOMAIN);
  return domain != AF_UNIX && domain != AF_NETLINK;  // these have no queue, and ignore the flag
}

// Sourced: recvmsg(2). Whether its header is there, so that it may wait.
bool has_header(const saved_call& call) noexcept {
  msghdr header;
  iovec part;
  constexpr std::size_t parts_max = 1024;  // sourced: UIO_MAXIOV
  if (!read_program(call.arguments[1], header)) return false;
  return header.msg_iovlen == 0 || (header.msg_iovlen <= parts_max &&
                                    read_program(header.msg_iov + header.msg_iovlen - 1, part));
}

// Tries of a part would have to be put together: so only the first byte is waited for, and then
// the worker. A look at it says what the call would say at once.
long receive_all(saved_call& call) noexcept {
  const int descriptor = descriptor_of(call);
  if (call.number == SYS_recvmsg && !has_header(call)) return pass_on(call);
  for (;;) {
    char first;
    const long found = kernel_call(SYS_recvfrom, descriptor, &first, sizeof(first),
                                   MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL, nullptr, nullptr);
    if (found >= 0) return pass_on_blocking(call);
    if (found != -EAGAIN) return found;
    if (const long waited = wait_after(*call.caller, descriptor, POLLIN)) return waited;
  }
}

}  // namespace

long serve_receive(saved_call& call) noexcept {
  const int descriptor = descriptor_of(call);
  const unsigned flags_at = call.number == SYS_recvmsg ? 2 : 3;
  const std::uint64_t flags = call.arguments[flags_at];
  constexpr std::uint64_t elsewhere = MSG_OOB | MSG_ERRQUEUE;
  if ((flags & MSG_DONTWAIT) != 0) return pass_on(call);
  if ((flags & MSG_WAITALL) != 0 && (flags & elsewhere) == 0) return receive_all(call);
  for (;;) {
    saved_call tried = call;
    tried.arguments[flags_at] |= MSG_DONTWAIT;
    const long result = pass_on(tried);
    if (result != -EAGAIN) return result;
    if ((flags & elsewhere) != 0 && never_waits(descriptor, flags)) return result;
    if (const long waited = wait_after(*call.caller, descriptor, POLLIN)) return waited;
  }
}

long serve_accept(saved_call& call) noexcept {
  const int descriptor = descriptor_of(call);
  constexpr std::uint64_t known_flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  const bool has_wrong_flags =
      call.number == SYS_accept4 && (static_cast<int>(call.arguments[3]) & ~known_flags) != 0;
  if (!is_ready(descriptor, POLLIN)) {
    if (has_wrong_flags || !is_listening(descriptor)) return pass_on(call);
    if (const long waited = wait_before(*call.caller, descriptor, POLLIN)) return waited;
  }
  return pass_on_blocking(call);
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
