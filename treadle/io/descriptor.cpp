#include "treadle/io/descriptor.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/io/taken_threads.hpp"

namespace treadle::io {
namespace {

constexpr std::uint32_t all_bits =
    descriptor::readable | descriptor::writable | descriptor::unusual;

}  // namespace

void descriptor::push(descriptor_waiter& node) noexcept {
  node.chosen = false;
  node.next = nullptr;
  node.previous = last;
  (last != nullptr ? last->next : first) = &node;
  last = &node;
  waits_at.store(&node, base::relaxed);  // relaxed: only fetched, see warm_up_waiter()
}

void descriptor::remove(descriptor_waiter& node) noexcept {
  (node.previous != nullptr ? node.previous->next : first) = node.next;
  (node.next != nullptr ? node.next->previous : last) = node.previous;
}

void descriptor::begin_lifetime() noexcept {
  // release: pairs with the look at the start of a call
  lifetime.store(lifetime.load(base::relaxed) + 1, base::release);
  change_state((state.load(base::relaxed) & ~flags) + one_event);
  // relaxed: who still uses the old ones has lost a race with close() anyway
  kind.store(call_kind::unknown, base::relaxed);
  is_tcp.store(false, base::relaxed);
  never_blocks.store(false, base::relaxed);
  receives_ahead.store(false, base::relaxed);
  has_positions.store(false, base::relaxed);
  if (ahead != nullptr) receive_queue::release(std::exchange(ahead, nullptr));
  home = nullptr;
  closing = false;
  taken_threads taken;
  bool more = true;
  while (more) {
    more = taken.take(*this, all_bits, wait_outcome::closed);
    taken.wake();  // takes no descriptor's lock
  }
}

void descriptor::deliver(std::uint32_t when, std::uint32_t bits) noexcept {
  taken_threads taken;
  deliver(when, bits, taken);
  taken.wake();
}

void descriptor::deliver(std::uint32_t when, std::uint32_t bits, taken_threads& taken) noexcept {
  taken.begin_descriptor();
  bool more = true;
  for (bool first_round = true; more; first_round = false) {
    {
      const base::guard hold(lock);
      // relaxed, both: under the lock
      if (lifetime.load(base::relaxed) != when) return;
      if (first_round) change_state((state.load(base::relaxed) | bits) + one_event);
      more = taken.take(*this, bits, wait_outcome::ready);
    }
    if (more) taken.wake();
  }
}

void descriptor::warm_up_waiter() const noexcept {
  // Measured (gdb, examples/http_server): from the frame in which the thread is parked to that of
  // the program's own function.
  constexpr std::uintptr_t bytes_below = 4 * base::cache_line_bytes;
  constexpr std::uintptr_t lines = 14;
  const auto node = reinterpret_cast<std::uintptr_t>(waits_at.load(base::relaxed));  // as push()
  if (node == 0) return;
#pragma GCC unroll 14
  for (std::uintptr_t i = 0; i < lines; ++i) {
    __builtin_prefetch(
        reinterpret_cast<const void*>(node - bytes_below + i * base::cache_line_bytes), 1);
  }
}

void descriptor::leave_home() noexcept {
  // relaxed: under the lock
  const bool is_watched = (state.load(base::relaxed) & watched) != 0;
  if (!is_watched && (ahead == nullptr || !ahead->is_with_ring())) home = nullptr;
}

bool descriptor::accept(std::uint32_t when, const receipt& news, std::uint32_t& bits,
                        bool& is_long) noexcept {
  const bool ours = lifetime.load(base::relaxed) == when && ahead != nullptr;  // relaxed: locked
  if (news.index >= 0) {
    const auto index = static_cast<std::uint16_t>(news.index);
    news.buffers->take(index);
    if (!ours || news.result <= 0) {
      news.buffers->put_back(index);
    } else {
      ahead->put(*news.buffers, index, static_cast<std::size_t>(news.result));
    }
  }
  if (!ours) return false;
  bits = readable;
  switch (-news.result) {
    case ENOBUFS:
    case ECANCELED:
    case EAGAIN:
    case EINTR:
    case ENOMEM:
    case EINVAL:
    case EOPNOTSUPP:
      break;  // the ring's trouble, not the socket's: who reads asks the socket itself
    default:
      if (news.result < 0) {
        ahead->put_error(-news.result);
        bits |= writable | unusual;
      }
  }
  if (news.over) {
    ahead->armed_by = nullptr;
    leave_home();
  }
  is_long = ahead->is_long();
  return true;
}

bool descriptor::deliver(std::uint32_t when, const receipt& news) noexcept {
  taken_threads taken;
  std::uint32_t bits = 0;
  bool is_long = false;
  bool more = true;
  for (bool first_round = true; more; first_round = false) {
    {
      const base::guard hold(lock);
      if (first_round) {
        if (!accept(when, news, bits, is_long)) return false;
        // Readiness itself is not known better: the queue is looked at each time.
        change_state(state.load(base::relaxed) + one_event);  // relaxed: under the lock
      }
      more = taken.take(*this, bits, wait_outcome::ready);
    }
    taken.wake();
  }
  return is_long;
}

bool descriptor::deliver_end(std::uint32_t when, bool has_come, bool over) noexcept {
  const base::guard hold(lock);
  // relaxed, both: under the lock
  if (lifetime.load(base::relaxed) != when || ahead == nullptr) return false;
  if (over) {
    ahead->guarded_by = nullptr;
    leave_home();
  }
  // An event: who found nothing before it, and is about to have the ring receive, looks again.
  change_state(state.load(base::relaxed) + one_event);
  return (has_come || over) && ahead->is_armed();
}

void descriptor::forget(const descriptor_poller& poller) noexcept {
  taken_threads taken;
  bool ours = false;
  bool more = true;
  while (more) {
    {
      const base::guard hold(lock);
      if (ahead != nullptr && ahead->guarded_by == &poller) ahead->guarded_by = nullptr;
      if (ahead != nullptr && ahead->armed_by == &poller) {
        ours = true;
        ahead->armed_by = nullptr;
        change_state(state.load(base::relaxed) + one_event);  // relaxed: under the lock
      }
      more = ours && taken.take(*this, readable, wait_outcome::ready);
    }
    taken.wake();
  }
}

void descriptor::lose_ring() noexcept {
  if (!lock.try_lock()) {
    // The list may have been amid a change; its threads are not here, either.
    first = last = nullptr;
    lock.take_over();
  }
  // What the parent has received is the parent's to read. Not released: other locks guard that.
  ahead = nullptr;
  receives_ahead.store(false, base::relaxed);  // relaxed: under the lock
  if (home != nullptr && home->holds_files()) {
    home = nullptr;
    change_state((state.load(base::relaxed) & ~flags) + one_event);  // relaxed: under the lock
  }
  lock.unlock();
}

void descriptor::leave(const descriptor_poller& poller, const std::uint32_t* when) noexcept {
  taken_threads taken;
  bool left = false;
  bool more = true;
  while (more) {
    {
      const base::guard hold(lock);
      // relaxed: under the lock
      if (when != nullptr && lifetime.load(base::relaxed) != *when) return;
      if (home == &poller) {
        left = true;
        change_state((state.load(base::relaxed) & ~flags) + one_event);  // relaxed: under the lock
        // What is received ahead is still to come, unless the poller itself goes.
        leave_home();
        if (when == nullptr) home = nullptr;
      }
      more = left && taken.take(*this, all_bits, wait_outcome::ready);
    }
    taken.wake();
  }
}

void descriptor::stop(descriptor_waiter& node) noexcept {
  taken_threads taken;
  {
    const base::guard hold(lock);
    // relaxed: under the lock
    if (node.outcome.load(base::relaxed) != wait_outcome::waiting) return;
    taken.end(*this, node, wait_outcome::stopped);
  }
  taken.wake();
}

bool descriptor::give_up(descriptor_waiter& node) noexcept {
  const base::guard hold(lock);
  // relaxed: under the lock
  if (node.outcome.load(base::relaxed) != wait_outcome::waiting) return false;
  remove(node);
  return true;
}

std::uint32_t readiness_of(std::uint32_t events) noexcept {
  std::uint32_t bits = 0;
  if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    bits |= descriptor::readable;
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) bits |= descriptor::writable;
  if ((events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) bits |= descriptor::unusual;
  return bits;
}

}  // namespace treadle::io
