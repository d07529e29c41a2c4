#include "treadle/io/epoll_poller.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "treadle/base/solo.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/base/timer_slack.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/own_descriptor.hpp"
#include "treadle/io/taken_threads.hpp"

namespace treadle::io {
namespace {

constexpr std::uint64_t wake_tag = ~std::uint64_t{0};
// Guess: an event may wait as long as some thread switches take; a look costs a system call.
constexpr std::int64_t look_interval_nanoseconds = 10'000;

// epoll_wait() with nanoseconds where the kernel has it (Linux 5.11).
int wait_for(int epoll, epoll_event* events, int events_max, std::int64_t nanoseconds) noexcept {
#if defined(SYS_epoll_pwait2)
  static base::atomic<bool> missing{false};
  if (!missing.load(base::relaxed)) {  // relaxed: only a hint
    const timespec span{nanoseconds / base::nanoseconds_per_second,
                        nanoseconds % base::nanoseconds_per_second};
    const long count =
        ::syscall(SYS_epoll_pwait2, epoll, events, events_max, &span, nullptr, std::size_t{0});
    if (count >= 0 || errno != ENOSYS) return static_cast<int>(count);
    missing.store(true, base::relaxed);
  }
#endif
  // Rounded up: a wait may end late, never early.
  constexpr std::int64_t per_millisecond = 1'000'000;
  constexpr std::int64_t milliseconds_max = 1'000'000'000;
  const std::int64_t milliseconds = (nanoseconds + per_millisecond - 1) / per_millisecond;
  return ::epoll_wait(
      epoll, events, events_max,
      static_cast<int>(milliseconds < milliseconds_max ? milliseconds : milliseconds_max));
}

}  // namespace

epoll_poller::~epoll_poller() {
  if (!open_.load(base::relaxed)) return;  // relaxed: whoever destroys has synchronised
  descriptor_table::instance().for_each([this](descriptor& one) { one.leave(*this); });
  ::close(wake_);
  ::close(epoll_);
}

int epoll_poller::open() noexcept {
  if (open_.load(base::acquire)) return 0;  // pairs with the store below
  const base::guard hold(opening_);
  if (open_.load(base::relaxed)) return 0;  // relaxed: under the lock
  base::descriptor_result epoll = base::create_epoll();
  if (epoll.error != 0) return epoll.error;
  base::descriptor_result wake = base::create_eventfd();
  int error = wake.error;
  if (error == 0) {
    epoll.descriptor = move_high(epoll.descriptor);
    wake.descriptor = move_high(wake.descriptor);
    // Edge-triggered: each write is an event, and nobody needs to read it.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = wake_tag;
    error = base::control_epoll(epoll.descriptor, EPOLL_CTL_ADD, wake.descriptor, &event);
    if (error != 0) ::close(wake.descriptor);
  }
  if (error != 0) {
    ::close(epoll.descriptor);
    return error;
  }
  epoll_ = epoll.descriptor;
  wake_ = wake.descriptor;
  is_nice_ = ::getpriority(PRIO_PROCESS, 0) > 0;
  open_.store(true, base::seq_cst);  // pairs with poll() and watch(); seq_cst: see in_use()
  return 0;
}

int epoll_poller::watch(int number, std::uint32_t lifetime) noexcept {
  if (const int error = open()) return error;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.u64 = std::uint64_t{lifetime} << 32 | static_cast<std::uint32_t>(number);
  const int error = base::control_epoll(epoll_, EPOLL_CTL_ADD, number, &event);
  if (error != EEXIST) return error;
  // The same open file came back under the same number.
  return base::control_epoll(epoll_, EPOLL_CTL_MOD, number, &event);
}

bool epoll_poller::unwatch(int number, std::uint32_t, watch_kind, file_release*) noexcept {
  epoll_event unused{};
  // It may have gone by itself.
  static_cast<void>(base::control_epoll(epoll_, EPOLL_CTL_DEL, number, &unused));
  return false;
}

void epoll_poller::interrupt() noexcept {
  if (rousing_.rouse()) ground::ring(wake_);
}

int epoll_poller::block(base::deadline until) noexcept {
  int count = 0;
  if (rousing_.begin_wait()) {
    const bool away = base::go_away();
    if (until.is_never()) {
      count = ::epoll_wait(epoll_, events_, events_max, -1);
    } else {
      const std::int64_t left = until.nanoseconds() - base::monotonic_now();
      count =
          wait_for(epoll_, events_, events_max, left > 0 ? base::epoll_span(left, is_nice_) : 0);
    }
    if (away) base::come_back();
  } else {
    count = ::epoll_wait(epoll_, events_, events_max, 0);
  }
  rousing_.end_wait();
  return count;
}

void epoll_poller::poll(base::deadline until) noexcept {
  if (!open_.load(base::acquire)) return;  // pairs with open(): nobody waits
  const int saved = errno;
  int count = 0;
  if (until.nanoseconds() == 0) {
    const std::int64_t now = base::monotonic_now();
    if (now - last_look_ < look_interval_nanoseconds) return;
    last_look_ = now;
    count = ::epoll_wait(epoll_, events_, events_max, 0);
  } else {
    count = block(until);
  }
  deliver(count);
  errno = saved;
}

// Null for the wake-up's own.
descriptor* epoll_poller::descriptor_of(const epoll_event& event) noexcept {
  if (event.data.u64 == wake_tag) return nullptr;
  int unused = 0;
  return descriptor_table::instance().find(static_cast<int>(event.data.u64 & 0xffffffff), unused);
}

// With many connections nothing of the next one is in the caches: all descriptors are fetched at
// once, then, as each says where it is, the waiter that comes next but a few, and the threads'
// records before the first is woken. Measured (examples/http_server, 1000 connections): 3.1 % of
// the CPU for this and what is left of it in park(); one after another, as they came, 5.9 %.
void epoll_poller::deliver(int count) noexcept {
  // Guess: as many as there is time for in a cache miss or two.
  constexpr int ahead = 4;
  for (int i = 0; i < count; ++i) {
    found_[i] = descriptor_of(events_[i]);
    __builtin_prefetch(found_[i], 1);
  }
  taken_threads taken;
  for (int i = count > 1 ? -ahead : 0; i < count; ++i) {
    const int next = i + ahead;
    if (next < count && found_[next] != nullptr) found_[next]->warm_up_waiter();
    if (i < 0 || found_[i] == nullptr) continue;
    if (taken.is_full()) taken.wake();
    const auto lifetime = static_cast<std::uint32_t>(events_[i].data.u64 >> 32);
    found_[i]->deliver(lifetime, readiness_of(events_[i].events), taken);
  }
  taken.wake();
}

}  // namespace treadle::io
