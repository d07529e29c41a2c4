#include "treadle/shim/calls/descriptors.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>

#include "treadle/io/calls.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/kernel_call.hpp"
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
  for (;;) {
    const long got = kernel_call(SYS_preadv2, descriptor, into.first, into.count, at_its_place,
                                 at_its_place, without_waiting);
    if (got == -EOPNOTSUPP || got == -EINVAL || got == -ESPIPE) {
      const long waited = wait_before(*call.caller, descriptor, POLLIN);
      return waited != 0 ? waited : pass_on_blocking(call);
    }
    if (got != -EAGAIN) return got;
    // A file whose pages are not in memory is always ready.
    if (is_ready(descriptor, POLLIN)) return pass_on_blocking(call);
    if (const long waited = wait_after(*call.caller, descriptor, POLLIN)) return waited;
  }
}

// Tries of a part would have to be put together.
long serve_receive(saved_call& call) noexcept {
  const int descriptor = descriptor_of(call);
  const unsigned flags_at = call.number == SYS_recvmsg ? 2 : 3;
  const std::uint64_t flags = call.arguments[flags_at];
  if ((flags & MSG_DONTWAIT) != 0) return pass_on(call);
  if ((flags & MSG_WAITALL) != 0) {
    const long waited = wait_before(*call.caller, descriptor, POLLIN);
    return waited != 0 ? waited : pass_on_blocking(call);
  }
  for (;;) {
    saved_call tried = call;
    tried.arguments[flags_at] |= MSG_DONTWAIT;
    const long result = pass_on(tried);
    if (result != -EAGAIN) return result;
    if (const long waited = wait_after(*call.caller, descriptor, POLLIN)) return waited;
  }
}

long serve_accept(saved_call& call) noexcept {
  const long waited = wait_before(*call.caller, descriptor_of(call), POLLIN);
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
