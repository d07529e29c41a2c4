#include "treadle/shim/pure.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>

#include "treadle/base/clock.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/stats.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {
namespace {

// The one call that may block: there is one worker. Written by it, `since` last, read by the
// attendant, which asks for `since` again behind the rest.
struct blocking_call {
  base::atomic<std::int64_t> since{0};  // 0: none
  base::atomic<long> number{0};
  base::atomic<int> thread{0};
  base::atomic<bool> ends_by_itself{false};
};
constinit blocking_call at_work;
constinit std::int64_t reported = 0;  // the attendant's: `since` of the call it has reported

struct name_of_call {
  long number;
  const char* name;
};
constexpr name_of_call names[] = {
    {SYS_read, "read"},       {SYS_readv, "readv"},           {SYS_write, "write"},
    {SYS_writev, "writev"},   {SYS_recvfrom, "recv"},         {SYS_recvmsg, "recvmsg"},
    {SYS_sendto, "send"},     {SYS_sendmsg, "sendmsg"},       {SYS_accept, "accept"},
    {SYS_accept4, "accept4"}, {SYS_connect, "connect"},       {SYS_poll, "poll"},
    {SYS_ppoll, "ppoll"},     {SYS_select, "select"},         {SYS_pselect6, "select"},
    {SYS_wait4, "wait"},      {SYS_waitid, "waitid"},         {SYS_epoll_wait, "epoll_wait"},
    {SYS_openat, "open"},     {SYS_flock, "flock"},           {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_nanosleep, "sleep"}, {SYS_clock_nanosleep, "sleep"}, {SYS_epoll_pwait2, "epoll_pwait2"},
    {SYS_fcntl, "fcntl"},
};

const char* name_of(long number) noexcept {
  for (const name_of_call& one : names) {
    if (one.number == number) return one.name;
  }
  return nullptr;
}

bool ends_by_itself(const saved_call& call) noexcept {
  switch (call.number) {
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      return true;
    case SYS_poll:
      return static_cast<int>(call.arguments[2]) >= 0;
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
      return static_cast<int>(call.arguments[3]) >= 0;
    case SYS_epoll_pwait2:
      return call.arguments[3] != 0;
    case SYS_ppoll:
      return call.arguments[2] != 0;
    case SYS_select:
    case SYS_pselect6:
      return call.arguments[4] != 0;
    default:
      return false;
  }
}

// Whether a broken pipe is a signal, too.
bool raises(const saved_call& call) noexcept {
  switch (call.number) {
    case SYS_sendto:
      return (call.arguments[3] & MSG_NOSIGNAL) == 0;
    case SYS_sendmsg:
      return (call.arguments[2] & MSG_NOSIGNAL) == 0;
    default:
      return call.number == SYS_write || call.number == SYS_writev;
  }
}

unsigned count_ready() noexcept {
  unsigned found = 0;
  const base::guard hold(threads().lock);
  for (const program_thread* one = threads().first(); one != nullptr; one = one->next) {
    const core::thread* const self = one->self.load(base::acquire);  // pairs with its start
    if (self == nullptr) {
      ++found;  // made, and not yet begun
      continue;
    }
    // relaxed: for a report
    if (self->now.load(base::relaxed).state == core::thread_state::ready) ++found;
  }
  return found;
}

void report(long number, int thread, std::int64_t nanoseconds, unsigned others,
            bool ends) noexcept {
  char text[400];
  char unknown[32];
  const char* name = name_of(number);
  if (name == nullptr) {
    std::snprintf(unknown, sizeof(unknown), "system call %ld", number);
    name = unknown;
  }
  const int size = std::snprintf(
      text, sizeof(text),
      "treadle: watchdog: thread %d has been in %s() for %.1f s and stops %u other%s that could "
      "run: with --pure nobody knows that it blocks%s\n",
      thread, name, static_cast<double>(nanoseconds) / base::nanoseconds_per_second, others,
      others == 1 ? "" : "s", ends ? "; the program is ended with status 3" : "");
  if (size > 0) kernel_call(SYS_write, 2, text, size);
}

}  // namespace

long serve_purely(saved_call& call) noexcept {
  // relaxed, but for `since`: see blocking_call
  at_work.number.store(call.number, base::relaxed);
  at_work.thread.store(call.caller->id, base::relaxed);
  at_work.ends_by_itself.store(ends_by_itself(call), base::relaxed);
  at_work.since.store(base::monotonic_now(), base::release);  // pairs with look_who_blocks()
  const long result = pass_on_blocking(call);
  at_work.since.store(0, base::release);  // as above
  if (result == -EPIPE && raises(call)) take_over_raised(*call.caller, SIGPIPE);
  return result;
}

void look_who_blocks() noexcept {
  const std::int64_t limit = chosen().watchdog_nanoseconds;
  if (limit == 0) return;
  const std::int64_t since = at_work.since.load(base::acquire);  // pairs with serve_purely()
  if (since == 0 || since == reported) return;
  const std::int64_t so_long = base::monotonic_now() - since;
  if (so_long < limit) return;
  const unsigned others = count_ready();
  if (others == 0) return;
  const long number = at_work.number.load(base::relaxed);  // relaxed, all: see below
  const int thread = at_work.thread.load(base::relaxed);
  const bool ends = !at_work.ends_by_itself.load(base::relaxed);
  // acquire: after the others; of another call they are not
  if (at_work.since.load(base::acquire) != since) return;
  reported = since;
  report(number, thread, so_long, others, ends);
  if (!ends) return;
  write_stats();
  for (;;) kernel_call(SYS_exit_group, status_of_watchdog);
}

}  // namespace treadle::shim
