// poll, select and epoll_wait: the same wait under three shapes.
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/descriptors.hpp"
#include "treadle/shim/calls/ready.hpp"
#include "treadle/shim/calls/times.hpp"
#include "treadle/shim/kernel_call.hpp"
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
  mask_for_wait(program_thread& self, const std::uint64_t* wanted) noexcept
      : self_(self), set_(wanted != nullptr) {
    if (set_) set_mask_for_wait(self, *wanted);
  }
  ~mask_for_wait() {
    if (set_) end_mask_for_wait(self_);
  }
  mask_for_wait(const mask_for_wait&) = delete;
  mask_for_wait& operator=(const mask_for_wait&) = delete;

 private:
  program_thread& self_;
  const bool set_;
};

void write_rest(timespec* out, base::deadline until) noexcept {
  const std::int64_t rest = until.nanoseconds() - base::monotonic_now();
  *out = timespec_of(rest > 0 ? rest : 0);
}

// Sourced: FD_SETSIZE; more than these a set cannot name without the program's own making.
constexpr int selectable_max = 1024;

struct select_sets {
  fd_set* reading;
  fd_set* writing;
  fd_set* special;
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
  auto* span = reinterpret_cast<timespec*>(call.arguments[2]);
  if (span != nullptr && !is_valid(*span)) return -EINVAL;
  const base::deadline until = span != nullptr ? deadline_after(*span) : base::deadline::never();
  const mask_for_wait mask(self, reinterpret_cast<const std::uint64_t*>(call.arguments[3]));
  const long found = wait_ready(self, those, count, until);
  if (span != nullptr) write_rest(span, until);
  return found;
}

long serve_select(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const int count = static_cast<int>(call.arguments[0]);
  if (count < 0) return -EINVAL;
  if (count > selectable_max) return pass_on_blocking(call);
  const select_sets sets{reinterpret_cast<fd_set*>(call.arguments[1]),
                         reinterpret_cast<fd_set*>(call.arguments[2]),
                         reinterpret_cast<fd_set*>(call.arguments[3])};
  base::deadline until = base::deadline::never();
  auto* span = reinterpret_cast<timespec*>(call.arguments[4]);
  auto* short_span = reinterpret_cast<timeval*>(call.arguments[4]);
  const bool is_short = call.number == SYS_select;
  if (span != nullptr) {
    timespec wanted = *span;
    if (is_short) wanted.tv_nsec *= 1000;
    if (!is_valid(wanted)) return -EINVAL;
    until = deadline_after(wanted);
  }
  const std::uint64_t* mask_wanted = nullptr;
  if (!is_short && call.arguments[5] != 0) {
    std::memcpy(&mask_wanted, reinterpret_cast<const void*>(call.arguments[5]), sizeof(void*));
  }
  const mask_for_wait mask(self, mask_wanted);
  pollfd asked[selectable_max];
  const nfds_t asked_count = ask_for(sets, count, asked);
  const long found = wait_ready(self, asked, asked_count, until);
  if (found < 0) return found;
  for (nfds_t i = 0; i < asked_count; ++i) {
    if ((asked[i].revents & POLLNVAL) != 0) return -EBADF;
  }
  if (span != nullptr) {
    timespec rest{};
    write_rest(&rest, until);
    if (is_short) {
      *short_span = {rest.tv_sec, rest.tv_nsec / 1000};
    } else {
      *span = rest;
    }
  }
  return answer(sets, asked, asked_count);
}

long serve_epoll_wait(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const int descriptor = static_cast<int>(call.arguments[0]);
  const base::deadline until = after_milliseconds(static_cast<int>(call.arguments[3]));
  const auto* wanted = reinterpret_cast<const std::uint64_t*>(
      call.number == SYS_epoll_pwait ? call.arguments[4] : 0);
  const mask_for_wait mask(self, wanted);
  for (;;) {
    const long found =
        kernel_call(SYS_epoll_wait, descriptor, call.arguments[1], call.arguments[2], 0);
    if (found != 0 || until.has_passed()) return found;
    const long waited = wait_ready(self, descriptor, POLLIN, until);
    if (waited < 0 && waited != -EAGAIN) return waited;
  }
}

}  // namespace treadle::shim
