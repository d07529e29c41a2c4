#include "treadle/shim/calls/partial_writing.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/threads/wait.hpp"

namespace treadle::shim {
namespace {

int descriptor_of(const saved_call& call) noexcept { return static_cast<int>(call.arguments[0]); }

// Of one that poll(2) calls ready. How the bytes in it are spread over its pages nobody says.
std::size_t room_of_fifo(int descriptor) noexcept {
  int bytes_in = -1;
  if (kernel_call(SYS_ioctl, descriptor, FIONREAD, &bytes_in) != 0 || bytes_in != 0) {
    return PIPE_BUF;
  }
  const long all = kernel_call(SYS_fcntl, descriptor, F_GETPIPE_SZ);
  return all > PIPE_BUF ? static_cast<std::size_t>(all) : PIPE_BUF;
}

// One piece of `part`, or a negative errno, or begin_again.
long write_piece(saved_call& call, const iovec& part) noexcept {
  const int descriptor = descriptor_of(call);
  if (!is_ready(descriptor, POLLOUT)) {
    if (const long waited = wait_until_ready(*call.caller, descriptor, POLLOUT)) return waited;
  }
  saved_call piece = call;
  piece.number = SYS_write;
  piece.arguments[1] = reinterpret_cast<std::uint64_t>(part.iov_base);
  piece.arguments[2] = std::min(part.iov_len, room_of_fifo(descriptor));
  return pass_on_blocking(piece);
}

}  // namespace

long write_to_fifo(saved_call& call) noexcept {
  const bool has_parts = call.number == SYS_writev;
  const std::uint64_t count = has_parts ? call.arguments[2] : 1;
  std::uint64_t done = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    iovec part{reinterpret_cast<void*>(call.arguments[1]), call.arguments[2]};
    const auto named = call.arguments[1] + i * sizeof(part);
    const bool is_there = !has_parts || read_program(named, part);
    while (!is_there || part.iov_len != 0) {
      const long some = is_there ? write_piece(call, part) : -EFAULT;
      if (some <= 0) {
        if (done == 0) return some;
        if (some == -EPIPE) take_over_raised(*call.caller, SIGPIPE);
        return static_cast<long>(done);
      }
      done += static_cast<std::uint64_t>(some);
      part.iov_base = static_cast<char*>(part.iov_base) + some;
      part.iov_len -= static_cast<std::uint64_t>(some);
    }
  }
  return static_cast<long>(done);
}

namespace {

// Sourced: proc_pid_fdinfo(5). The value of an eventfd, or 0 where nobody says it.
std::uint64_t value_of_counter(int descriptor) noexcept {
  char path[40];
  char text[512] = {};
  std::snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", descriptor);
  const long file = kernel_call(SYS_open, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  kernel_call(SYS_read, file, text, sizeof(text) - 1);
  kernel_call(SYS_close, file);
  constexpr char name[] = "eventfd-count:";
  const char* const found = std::strstr(text, name);
  return found != nullptr ? std::strtoull(found + sizeof(name) - 1, nullptr, 16) : 0;
}

}  // namespace

// No event says that there is room for more than 1.
long write_to_counter(saved_call& call, std::uint64_t value) noexcept {
  // Guess: from a busy reader's time to what nobody notices.
  constexpr std::int64_t first_nanoseconds = 100'000;
  constexpr int doublings_max = 8;
  program_thread& self = *call.caller;
  const int descriptor = descriptor_of(call);
  for (int round = 0;; round = std::min(round + 1, doublings_max)) {
    if (!is_ready(descriptor, POLLOUT)) {
      if (const long waited = wait_until_ready(self, descriptor, POLLOUT)) return waited;
    }
    if (value < ~value_of_counter(descriptor)) return pass_on_blocking(call);
    const auto until = base::deadline::at(base::monotonic_now() + (first_nanoseconds << round));
    const wait_result how =
        wait_for(self, until, core::wait_reason::io, []() noexcept { return false; });
    if (how == wait_result::interrupted) return -EINTR;
  }
}

}  // namespace treadle::shim
