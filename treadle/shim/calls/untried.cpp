#include "treadle/shim/calls/untried.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/partial_writing.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"

namespace treadle::shim {
namespace {

// The kernel's own; libc's is longer.
struct kernel_termios {
  tcflag_t input, output, control, local;
  cc_t line;
  cc_t characters[19];
};

// What waits: reads of all but the first, writes of those up to `counter`.
enum class kind { answers_at_once, fifo, terminal, device, counter, timer, signals, notices };

// Sourced: the kernel's calls of anon_inode_getfd(). Of others that have no name in the file system
// reads do not wait.
kind kind_of_nameless(int descriptor) noexcept {
  struct known {
    const char* name;
    kind which;
  };
  constexpr known all[] = {{"[eventfd]", kind::counter},  {"[timerfd]", kind::timer},
                           {"[signalfd]", kind::signals}, {"inotify", kind::notices},
                           {"[fanotify]", kind::notices}, {"[userfaultfd]", kind::notices}};
  constexpr char begin[] = "anon_inode:";
  char path[32];
  char name[40] = {};
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
  // Without /proc one that says that it is not ready is believed.
  if (kernel_call(SYS_readlink, path, name, sizeof(name) - 1) < 0) return kind::notices;
  if (std::strncmp(name, begin, sizeof(begin) - 1) != 0) return kind::answers_at_once;
  for (const known& one : all) {
    if (std::strcmp(name + sizeof(begin) - 1, one.name) == 0) return one.which;
  }
  return kind::answers_at_once;
}

kind kind_of(int descriptor) noexcept {
  struct stat about {};
  if (kernel_call(SYS_fstat, descriptor, &about) != 0) return kind::answers_at_once;
  switch (about.st_mode & S_IFMT) {
    case S_IFCHR: {
      kernel_termios unused{};
      return kernel_call(SYS_ioctl, descriptor, TCGETS, &unused) == 0 ? kind::terminal
                                                                      : kind::device;
    }
    case S_IFIFO:
      return kind::fifo;
    case 0:
      return kind_of_nameless(descriptor);
    default:
      return kind::answers_at_once;  // sockets can be tried; files are ready, but for mqueue's
  }
}

// How long a terminal that asks for no byte at least waits for the first one.
base::deadline limit_of_terminal(int descriptor) noexcept {
  constexpr std::int64_t unit = 100'000'000;  // sourced: termios(3), VTIME counts tenths
  kernel_termios state{};
  const bool found = kernel_call(SYS_ioctl, descriptor, TCGETS, &state) == 0;
  if (!found || (state.local & ICANON) != 0 || state.characters[VMIN] != 0) {
    return base::deadline::never();
  }
  return base::deadline::at(base::monotonic_now() + state.characters[VTIME] * unit);
}

// One that can only be read, and is empty, says whether it has a writer: the kernel moves nothing
// out of it.
long read_fifo(int descriptor, const iovec* parts, long count) noexcept {
  constexpr unsigned without_waiting = 2;  // sourced: SPLICE_F_NONBLOCK
  const long flags = kernel_call(SYS_fcntl, descriptor, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY) return -EAGAIN;
  return kernel_call(SYS_vmsplice, descriptor, parts, count, without_waiting);
}

// Sourced: eventfd(2). A value that it never takes; also for what is none.
constexpr std::uint64_t no_value = ~std::uint64_t{0};

std::uint64_t value_for_counter(const saved_call& call) noexcept {
  iovec part{reinterpret_cast<void*>(call.arguments[1]), call.arguments[2]};
  if (call.number == SYS_writev && !read_program(part.iov_base, part)) return no_value;
  std::uint64_t value = 0;
  const bool is_there = part.iov_len >= sizeof(value) && read_program(part.iov_base, value);
  return is_there ? value : no_value;
}

// Sourced: POSIX's write(), what a FIFO takes as a whole; of parts all together.
bool is_for_one_piece(const saved_call& call) noexcept {
  if (call.number == SYS_write) return call.arguments[2] <= PIPE_BUF;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < call.arguments[2] && sum <= PIPE_BUF; ++i) {
    iovec part;
    if (!read_program(call.arguments[1] + i * sizeof(part), part)) return true;  // as it is
    sum += part.iov_len;
  }
  return sum <= PIPE_BUF;
}

// Whether a read() asks for less than it ever gives.
bool asks_for_too_little(const saved_call& call, kind which) noexcept {
  if (call.number != SYS_read) return false;
  // Sourced: eventfd(2), timerfd_create(2), signalfd(2).
  const std::size_t least = which == kind::signals                           ? 128
                            : which == kind::counter || which == kind::timer ? 8
                            : which == kind::terminal || which == kind::fifo ? 1
                                                                             : 0;
  return call.arguments[2] < least;
}

}  // namespace

long read_untried(saved_call& call, const iovec* parts, long count) noexcept {
  const int descriptor = static_cast<int>(call.arguments[0]);
  if (is_ready(descriptor, POLLIN) || is_non_blocking(descriptor)) return pass_on_blocking(call);
  const kind which = kind_of(descriptor);
  if (which == kind::answers_at_once || asks_for_too_little(call, which)) {
    return pass_on_blocking(call);
  }
  if (which == kind::fifo) {
    if (const long got = read_fifo(descriptor, parts, count); got >= 0) return got;
  }
  const base::deadline limit =
      which == kind::terminal ? limit_of_terminal(descriptor) : base::deadline::never();
  const long waited = wait_until_ready(*call.caller, descriptor, POLLIN, limit);
  if (waited == -EAGAIN) return 0;  // sourced: termios(3), a read that timed out
  return waited != 0 ? waited : pass_on_blocking(call);
}

long write_untried(saved_call& call) noexcept {
  const int descriptor = static_cast<int>(call.arguments[0]);
  const bool is_ready_now = is_ready(descriptor, POLLOUT);
  const bool is_little = is_for_one_piece(call);
  // What a FIFO takes when it is ready, and so does an eventfd, unless it is a number above 1.
  const bool may_be_much = call.number == SYS_writev || call.arguments[2] == sizeof(std::uint64_t);
  if (is_ready_now && is_little && (!may_be_much || value_for_counter(call) == 1)) {
    return pass_on_blocking(call);
  }
  if (is_non_blocking(descriptor)) return pass_on_blocking(call);
  const kind which = kind_of(descriptor);
  if (which == kind::fifo && !is_little) return write_to_fifo(call);
  if (which == kind::counter) {
    const std::uint64_t value = value_for_counter(call);
    return value == no_value ? pass_on_blocking(call) : write_to_counter(call, value);
  }
  const bool waits = which == kind::fifo || which == kind::terminal || which == kind::device;
  if (is_ready_now || !waits) return pass_on_blocking(call);
  const long waited = wait_until_ready(*call.caller, descriptor, POLLOUT);
  return waited != 0 ? waited : pass_on_blocking(call);
}

}  // namespace treadle::shim
