// poll, select and epoll_wait: the same wait under three shapes.
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/descriptors.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/signals.hpp"

namespace treadle::shim {
namespace {

base::deadline after_milliseconds(int span) noexcept {
  if (span < 0) return base::deadline::never();
  return base::deadline::at(base::monotonic_now() + std::int64_t{span} * 1'000'000);
}

// For as long as the call waits, another mask, if one is given.
class mask_for_wait {
 public:
  explicit mask_for_wait(program_thread& self) noexcept : self_(self) {}
  // The argument of a call that names it, or null, and its size. 0 or a negative errno.
  long set(std::uint64_t from, std::uint64_t size) noexcept {
    std::uint64_t wanted;
    if (from == 0) return 0;
    if (size != sizeof(wanted)) return -EINVAL;
    if (!read_program(from, wanted)) return -EFAULT;
    set_mask_for_wait(self_, wanted);
    set_ = true;
    return 0;
  }
  ~mask_for_wait() {
    if (set_) end_mask_for_wait(self_);
  }
  mask_for_wait(const mask_for_wait&) = delete;
  mask_for_wait& operator=(const mask_for_wait&) = delete;

 private:
  program_thread& self_;
  bool set_ = false;
};

// A timespec that a call names, or null for no limit. 0 or a negative errno.
long read_span(std::uint64_t from, base::deadline& until) noexcept {
  timespec span;
  if (from == 0) return 0;
  if (!read_program(from, span)) return -EFAULT;
  if (!is_valid(span)) return -EINVAL;
  until = deadline_after(span);
  return 0;
}

timespec rest_until(base::deadline until) noexcept {
  const std::int64_t rest = until.nanoseconds() - base::monotonic_now();
  return timespec_of(rest > 0 ? rest : 0);
}

// Sourced: FD_SETSIZE; more than these a set cannot name without the program's own making.
constexpr int selectable_max = 1024;

// Our own copies of the program's; null where it has none.
struct select_sets {
  fd_set* reading = nullptr;
  fd_set* writing = nullptr;
  fd_set* special = nullptr;
  fd_set memory[3];

  static std::size_t bytes_of(int count) noexcept {
    return (static_cast<std::size_t>(count) + 63) / 64 * 8;  // whole words, as the kernel
  }
  [[nodiscard]] bool read(const std::uint64_t (&from)[6], int count) noexcept {
    fd_set** const all[] = {&reading, &writing, &special};
    for (int i = 0; i < 3; ++i) {
      if (from[i + 1] == 0) continue;
      *all[i] = &memory[i];
      const auto* const named = reinterpret_cast<const void*>(from[i + 1]);
      if (!copy_all(&memory[i], named, bytes_of(count))) return false;
    }
    return true;
  }
  [[nodiscard]] bool write(const std::uint64_t (&to)[6], int count) const noexcept {
    for (int i = 0; i < 3; ++i) {
      auto* const named = reinterpret_cast<void*>(to[i + 1]);
      if (named != nullptr && !copy_all(named, &memory[i], bytes_of(count))) return false;
    }
    return true;
  }
};

// Fills in who is asked for; how many.
nfds_t ask_for(const select_sets& sets, int count, pollfd* out) noexcept {
  nfds_t asked = 0;
  for (int one = 0; one < count; ++one) {
    int events = 0;
    if (sets.reading != nullptr && FD_ISSET(one, sets.reading)) events |= POLLIN;
    if (sets.writing != nullptr && FD_ISSET(one, sets.writing)) events |= POLLOUT;
    if (sets.special != nullptr && FD_ISSET(one, sets.special)) events |= POLLPRI;
    if (events != 0) out[asked++] = {one, static_cast<short>(events), 0};
  }
  return asked;
}

// Sourced: select(2), which events of poll(2) make a descriptor of which set ready.
long answer(const select_sets& sets, const pollfd* found, nfds_t asked) noexcept {
  long all = 0;
  const auto keep = [&all](fd_set* set, const pollfd& one, int asked_for, int says) {
    if (set == nullptr || (one.events & asked_for) == 0) return;
    if ((one.revents & says) != 0) {
      ++all;
    } else {
      FD_CLR(one.fd, set);
    }
  };
  for (nfds_t i = 0; i < asked; ++i) {
    keep(sets.reading, found[i], POLLIN, POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR);
    keep(sets.writing, found[i], POLLOUT, POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR);
    keep(sets.special, found[i], POLLPRI, POLLPRI);
  }
  return all;
}

}  // namespace

long serve_poll(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  auto* those = reinterpret_cast<pollfd*>(call.arguments[0]);
  const nfds_t count = call.arguments[1];
  if (call.number == SYS_poll) {
    return wait_ready(self, those, count, after_milliseconds(static_cast<int>(call.arguments[2])));
  }
  base::deadline until = base::deadline::never();
  if (const long error = read_span(call.arguments[2], until)) return error;
  mask_for_wait mask(self);
  if (const long error = mask.set(call.arguments[3], call.arguments[4])) return error;
  const long found = wait_ready(self, those, count, until);
  // Where it cannot be written the kernel goes on without, too.
  const bool has_limit = call.arguments[2] != 0;
  if (has_limit) static_cast<void>(write_program(call.arguments[2], rest_until(until)));
  return found;
}

namespace {

// The limit of a select or pselect6. 0 or a negative errno.
long read_limit(const saved_call& call, base::deadline& until) noexcept {
  const std::uint64_t from = call.arguments[4];
  timespec wanted;  // a timeval is as large
  if (from == 0) return 0;
  if (!read_program(from, wanted)) return -EFAULT;
  // Sourced: the kernel's select(), which takes seconds as microseconds, too.
  if (call.number == SYS_select) {
    wanted = {wanted.tv_sec + wanted.tv_nsec / 1'000'000, wanted.tv_nsec % 1'000'000 * 1000};
  }
  if (!is_valid(wanted)) return -EINVAL;
  until = deadline_after(wanted);
  return 0;
}

void write_limit(const saved_call& call, base::deadline until) noexcept {
  if (call.arguments[4] == 0) return;
  timespec rest = rest_until(until);
  if (call.number == SYS_select) rest.tv_nsec /= 1000;
  static_cast<void>(write_program(call.arguments[4], rest));  // as ppoll()'s
}

}  // namespace

long serve_select(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const int count = static_cast<int>(call.arguments[0]);
  if (count > selectable_max) return pass_on_blocking(call);
  base::deadline until = base::deadline::never();
  if (const long error = read_limit(call, until)) return error;
  std::uint64_t mask_wanted[2] = {};
  if (call.number == SYS_pselect6 && call.arguments[5] != 0 &&
      !read_program(call.arguments[5], mask_wanted)) {
    return -EFAULT;
  }
  mask_for_wait mask(self);
  if (const long error = mask.set(mask_wanted[0], mask_wanted[1])) return error;
  if (count < 0) return -EINVAL;
  select_sets sets;
  if (!sets.read(call.arguments, count)) return -EFAULT;
  pollfd asked[selectable_max];
  const nfds_t asked_count = ask_for(sets, count, asked);
  const long found = wait_ready(self, asked, asked_count, until);
  if (found < 0) return found;
  for (nfds_t i = 0; i < asked_count; ++i) {
    if ((asked[i].revents & POLLNVAL) != 0) return -EBADF;
  }
  write_limit(call, until);
  const long all = answer(sets, asked, asked_count);
  return sets.write(call.arguments, count) ? all : -EFAULT;
}

long serve_epoll_wait(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const int descriptor = static_cast<int>(call.arguments[0]);
  base::deadline until = base::deadline::never();
  if (call.number != SYS_epoll_pwait2) {
    until = after_milliseconds(static_cast<int>(call.arguments[3]));
  } else if (const long error = read_span(call.arguments[3], until)) {
    return error;
  }
  mask_for_wait mask(self);
  if (call.number != SYS_epoll_wait) {
    if (const long error = mask.set(call.arguments[4], call.arguments[5])) return error;
  }
  for (;;) {
    const long found =
        kernel_call(SYS_epoll_wait, descriptor, call.arguments[1], call.arguments[2], 0);
    if (found != 0 || until.has_passed()) return found;
    const long waited = wait_ready(self, descriptor, POLLIN, until);
    if (waited < 0 && waited != -EAGAIN) return waited;
  }
}

}  // namespace treadle::shim
