#include "treadle/shim/threads/cpu_time.hpp"

#include <sys/syscall.h>
#include <time.h>

#include <cerrno>
#include <cstring>

#include "treadle/base/clock.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"

namespace treadle::shim {

constinit base::atomic<bool> counts_cpu_time{false};

namespace {

// Sourced: include/linux/posix-timers.h. A clock of a thread is ~number << 3 | 4 | which.
constexpr int of_thread = 4;
constexpr int scheduled = 2;

constexpr long clock_of(int kernel_thread) noexcept {
  return static_cast<long>(static_cast<int>(~static_cast<unsigned>(kernel_thread) << 3) |
                           of_thread | scheduled);
}

// 0 where there is none.
std::int64_t read_clock(long clock) noexcept {
  timespec now{};
  if (kernel_call(SYS_clock_gettime, clock, &now) != 0) return 0;
  return now.tv_sec * base::nanoseconds_per_second + now.tv_nsec;
}
std::int64_t own_clock() noexcept { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

// With the book's lock held, so that it does not end.
std::int64_t time_of(const program_thread& which) noexcept {
  for (;;) {
    // acquire, all: written the other way round
    const std::int64_t since = which.cpu_since.load(base::acquire);
    std::int64_t used = which.cpu_used.load(base::acquire);
    const seat* const under = which.under.load(base::acquire);
    // On the program's side: what has come since it went there.
    if (since != 0 && under != nullptr) {
      const std::int64_t more = read_clock(clock_of(under->kernel_id)) - since;
      if (more > 0) used += more;
    }
    if (which.cpu_since.load(base::acquire) == since) return used;
  }
}

// The number of the thread whose clock it is; 0 the caller's own, -1 another kind.
int thread_of(long clock) noexcept {
  const auto id = static_cast<int>(clock);
  if (id == CLOCK_THREAD_CPUTIME_ID) return 0;
  if (id >= 0 || (id & of_thread) == 0 || (id & 3) == 3) return -1;
  return static_cast<int>(~static_cast<unsigned>(id >> 3));
}

}  // namespace

void learn_cpu_time(program_thread& leader) noexcept {
  leader.cpu_used.store(own_clock(), base::relaxed);  // relaxed: published by the start
}

void count_until_call(program_thread& self) noexcept {
  const std::int64_t since = self.cpu_since.load(base::relaxed);  // relaxed: our own
  self.cpu_at_call = own_clock();
  self.seat_at_call = &own_seat();
  self.turns_at_call = self.turns;
  if (since == 0) return;
  // relaxed, acquire's other side: see time_of()
  const std::int64_t used = self.cpu_used.load(base::relaxed) + self.cpu_at_call - since;
  self.cpu_since.store(0, base::release);
  self.cpu_used.store(used, base::release);
}

void count_from_return(program_thread& self, const seat& here) noexcept {
  const std::int64_t now = own_clock();
  // Nobody else has run here meanwhile.
  if (self.seat_at_call == &here && self.turns_at_call == self.turns && self.cpu_at_call != 0) {
    self.cpu_used.store(self.cpu_used.load(base::relaxed) + now - self.cpu_at_call, base::release);
  }
  self.cpu_at_call = 0;
  self.cpu_since.store(now, base::release);
}

long serve_clock(saved_call& call) noexcept {
  const int number = thread_of(static_cast<long>(call.arguments[0]));
  if (number < 0) return pass_on(call);
  if (!counts_cpu_time.load(base::relaxed)) {
    counts_cpu_time.store(true, base::relaxed);  // relaxed: each thread begins at its next call
    count_until_call(*call.caller);
  }
  std::int64_t used = 0;
  {
    const base::guard hold(threads().lock);
    const program_thread* const which = number == 0 ? call.caller : threads().find(number);
    if (which == nullptr) return pass_on(call);  // a kernel thread's
    used = time_of(*which);
  }
  const bool asks_unit = call.number == SYS_clock_getres;
  if (asks_unit && call.arguments[1] == 0) return 0;
  const std::int64_t value = asks_unit ? 1 : used;
  const timespec told{value / base::nanoseconds_per_second, value % base::nanoseconds_per_second};
  return write_program(call.arguments[1], told) ? 0 : -EFAULT;
}

}  // namespace treadle::shim
