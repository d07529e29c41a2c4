#include "treadle/io/waiting.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/kernel_wait.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {
namespace {

// Whether a short read says that nothing is left: it does for TCP, but not where messages or
// passed descriptors have borders.
bool is_tcp(int number) noexcept {
  int protocol = 0;
  socklen_t bytes = sizeof(protocol);
  return ::getsockopt(number, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes) == 0 &&
         protocol == IPPROTO_TCP;
}

// With the lock held: `home` reports the events from now on. Its first is what is ready now.
int begin_watch(const call_target& target, descriptor_poller& home) noexcept {
  descriptor& which = *target.which;
  // relaxed, here and below: under the lock
  if (which.home != nullptr && which.home != &home) {
    // Handed over from another runtime: nobody there waits for it any longer.
    which.home->unwatch(target.number, target.lifetime, watch_kind::events, nullptr);
    which.home = nullptr;
  } else if (which.kind.load(base::relaxed) <= call_kind::socket &&
             !which.is_tcp.load(base::relaxed)) {
    which.is_tcp.store(is_tcp(target.number), base::relaxed);
  }
  // Where the poller itself would say so later, or to nobody.
  if (home.holds_files() && which.kind.load(base::relaxed) == call_kind::unknown &&
      ::fcntl(target.number, F_GETFD) < 0) {
    return EBADF;
  }
  std::uint32_t state = which.state.load(base::relaxed) & ~descriptor::flags;
  const int error = home.watch(target.number, target.lifetime);
  if (error == 0) {
    which.home = &home;
    state |= descriptor::watched;
  } else if (error == EPERM) {
    which.kind.store(call_kind::always, base::relaxed);
  }
  which.change_state(state);
  return error;
}

// ---- with the lock held ----

bool is_armed(const descriptor& which) noexcept {
  return which.ahead != nullptr && which.ahead->is_armed();
}

bool is_with_ring(const descriptor& which) noexcept {
  return which.ahead != nullptr && which.ahead->is_with_ring();
}

// Whether nobody reports events, or only a poller for whom nobody waits there any longer.
bool needs_watch(const descriptor& which, const descriptor_poller& home) noexcept {
  if ((which.state.load(base::relaxed) & descriptor::watched) == 0) return true;  // relaxed: locked
  return which.home != &home && which.first == nullptr && !is_with_ring(which);
}

// Who receives stays, and watches, too.
descriptor_poller& watcher_of(const descriptor& which, descriptor_poller& home) noexcept {
  return is_with_ring(which) && which.home != nullptr ? *which.home : home;
}

// As enter(), for somebody who waits for what is received ahead; EOPNOTSUPP when nobody can.
int enter_for_receipt(const call_target& target, descriptor_waiter& node, descriptor_poller& home,
                      bool& queued) noexcept {
  descriptor& which = *target.which;
  receive_queue& ahead = *which.ahead;
  if (!ahead.is_empty()) return 0;
  if (!ahead.is_armed()) {
    if (which.home != nullptr && which.home != &home) return EOPNOTSUPP;
    const int error = home.receive(target.number, target.lifetime, watch_kind::receipt);
    if (error != 0) return error;
    ahead.armed_by = &home;
    which.home = &home;
  }
  if (ahead.guarded_by == nullptr && ahead.armed_by == which.home) {
    // After the receipt: what it reports then reaches a receive that has begun.
    const int error = ahead.armed_by->receive(target.number, target.lifetime, watch_kind::end);
    if (error != 0) return error;
    ahead.guarded_by = ahead.armed_by;
  }
  which.push(node);
  queued = true;
  return 0;
}

// 0 with `queued`: the node is in the list, now park. 0 without: try again. Or an errno.
int enter(const call_target& target, std::uint32_t seen, descriptor_waiter& node,
          descriptor_poller& home, bool& queued) noexcept {
  descriptor& which = *target.which;
  const base::guard hold(which.lock);
  // relaxed: under the lock
  if (which.lifetime.load(base::relaxed) != target.lifetime) return EBADF;
  if (which.has_event_since(seen)) return 0;
  if (which.closing) {
    which.push(node);
    queued = true;
    return 0;
  }
  if (which.ahead != nullptr && (node.wanted & descriptor::readable) != 0) {
    const int error = enter_for_receipt(target, node, home, queued);
    if (error != EOPNOTSUPP) return error == EAGAIN ? 0 : error;
  }
  if (needs_watch(which, home)) {
    const bool was_always = which.kind.load(base::relaxed) == call_kind::always;
    const int error = begin_watch(target, watcher_of(which, home));
    if (error == EPERM) return was_always ? EAGAIN : 0;
    if (error == EAGAIN) return 0;
    if (error != 0) return error;
    which.push(node);
  } else {
    which.await_event(node);
  }
  queued = true;
  return 0;
}

int park_until_ended(descriptor& which, descriptor_waiter& node, base::deadline until) noexcept {
  switch (which.park_until_ended(node, until)) {
    case wait_result::ready:
      return 0;
    case wait_result::closed:
      return EBADF;
    case wait_result::stopped:
      return ECANCELED;
    case wait_result::timed_out:
      break;
  }
  return ETIMEDOUT;
}

// A frame of its own: the callback's state is only on the stacks of those who can be stopped.
[[gnu::noinline]] int park_stoppable(descriptor& which, descriptor_waiter& node,
                                     const base::wait_limit& limit) noexcept {
  const auto end_it = [&]() noexcept { which.stop(node); };
  const on_stop watch(limit, end_it);
  return park_until_ended(which, node, limit.until());
}

}  // namespace

int call_target::open(int descriptor_number) noexcept {
  int error = EBADF;
  which = descriptor_table::instance().find(descriptor_number, error);
  if (which == nullptr) return error;
  number = descriptor_number;
  lifetime = which->lifetime.load(base::acquire);  // pairs with begin_lifetime()
  return 0;
}

int wait_for_event(const call_target& target, std::uint32_t seen, std::uint32_t wanted,
                   const base::wait_limit& limit) noexcept {
  descriptor_waiter node;
  node.who = &core::current_thread();
  node.wanted = wanted;
  core::poller* events = node.who->scheduler->events;
  if (events == nullptr) return wait_in_kernel(target, node, limit);
  // Every runtime's poller is a descriptor_poller: treadle/runtime.cpp.
  auto& home = static_cast<descriptor_poller&>(*events);
  // Here already, because it may take another descriptor's lock.
  if (const int error = home.open()) return error;
  bool queued = false;
  const int error = enter(target, seen, node, home, queued);
  if (!queued) return error;
  if (may_be_stopped(limit)) return park_stoppable(*target.which, node, limit);
  return park_until_ended(*target.which, node, limit.until());
}

int begin_wait(const call_target& target, std::uint32_t seen, descriptor_waiter& node,
               core::poller& events, bool& queued) noexcept {
  queued = false;
  auto& home = static_cast<descriptor_poller&>(events);  // as above
  if (const int error = home.open()) return error;
  return enter(target, seen, node, home, queued);
}

int open_poller() noexcept {
  core::poller* events = core::current_thread().scheduler->events;
  return events == nullptr ? 0 : static_cast<descriptor_poller&>(*events).open();
}

namespace {

// As enlist(), or EAGAIN.
int try_to_enlist(const call_target& target, descriptor_waiter& node,
                  descriptor_poller* home) noexcept {
  descriptor& which = *target.which;
  const base::guard hold(which.lock);
  // relaxed, here and below: under the lock
  if (which.lifetime.load(base::relaxed) != target.lifetime) {
    // As if it had been in the list: the number may be another's now, for which it would wait.
    node.outcome.store(wait_outcome::closed, base::relaxed);
    return 0;
  }
  node.outcome.store(wait_outcome::waiting, base::relaxed);
  if (home != nullptr && !which.closing && needs_watch(which, *home)) {
    const int error = begin_watch(target, watcher_of(which, *home));
    // Of these two poll(2) itself has something to say.
    if (error != 0 && error != EPERM && error != EBADF) return error;
  }
  which.push(node);
  return 0;
}

}  // namespace

int enlist(const call_target& target, descriptor_waiter& node, core::poller* events) noexcept {
  auto* home = static_cast<descriptor_poller*>(events);
  if (home != nullptr) {
    // As in wait_for_event().
    if (const int error = home->open()) return error;
  }
  for (;;) {
    const int error = try_to_enlist(target, node, home);
    if (error != EAGAIN) return error;
    ::sched_yield();
  }
}

void let_go(descriptor& which, int number) noexcept {
  {
    const base::guard hold(which.lock);
    which.closing = true;
    if (which.home == nullptr || !which.home->holds_files()) return;
  }
  file_release release;
  {
    const base::guard hold(which.lock);
    if (which.home == nullptr) return;
    // relaxed, both: under the lock
    const std::uint32_t lifetime = which.lifetime.load(base::relaxed);
    const watch_kind what = is_with_ring(which) ? watch_kind::all : watch_kind::events;
    const bool later = which.home->unwatch(number, lifetime, what, &release);
    which.home = nullptr;
    which.change_state(which.state.load(base::relaxed) & ~descriptor::flags);
    if (!later) return;
  }
  release.wait();
}

void stop_receiving(const call_target& target) noexcept {
  file_release release;
  descriptor_poller* home = nullptr;
  {
    const base::guard hold(target.which->lock);
    // relaxed: under the lock
    if (target.which->lifetime.load(base::relaxed) != target.lifetime) return;
    home = target.which->home;
    if (!is_armed(*target.which) || home == nullptr) return;
    const bool later =
        home->unwatch(target.number, target.lifetime, watch_kind::receiving, &release);
    if (later) home = nullptr;
  }
  if (home == nullptr) {
    release.wait();
  } else {
    home->catch_up();
  }
}

ssize_t fail(int error) noexcept {
  errno = error;
  return -1;
}

ssize_t errno_as_result() noexcept { return -errno; }

}  // namespace treadle::io
