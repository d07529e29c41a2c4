#include "treadle/io/descriptor.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/io/taken_threads.hpp"

namespace treadle::io {

template struct basic_descriptor_waits<ground>;

void descriptor::begin_lifetime() noexcept {
  begin_next_lifetime();
  // relaxed: who still uses the old ones has lost a race with close() anyway
  kind.store(call_kind::unknown, base::relaxed);
  is_tcp.store(false, base::relaxed);
  never_blocks.store(false, base::relaxed);
  receives_ahead.store(false, base::relaxed);
  has_positions.store(false, base::relaxed);
  if (ahead != nullptr) receive_queue::release(std::exchange(ahead, nullptr));
  home = nullptr;
  closing = false;
  close_waits();
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
  if (news.over) ahead->armed_by = nullptr;
  is_long = ahead->is_long();
  return true;
}

bool descriptor::deliver(std::uint32_t when, const receipt& news) noexcept {
  bool is_long = false;
  make_ready([&](std::uint32_t& bits) noexcept {
    if (!accept(when, news, bits, is_long)) return false;
    // Readiness itself is not known better: the queue is looked at each time.
    change_state(state.load(base::relaxed) + one_event);  // relaxed: under the lock
    return true;
  });
  return is_long;
}

bool descriptor::deliver_end(std::uint32_t when, bool has_come, bool over) noexcept {
  const base::guard hold(lock);
  // relaxed, both: under the lock
  if (lifetime.load(base::relaxed) != when || ahead == nullptr) return false;
  if (over) ahead->guarded_by = nullptr;
  // An event: who found nothing before it, and is about to have the ring receive, looks again.
  change_state(state.load(base::relaxed) + one_event);
  return (has_come || over) && ahead->is_armed();
}

void descriptor::forget(const descriptor_poller& poller) noexcept {
  make_ready([&](std::uint32_t& bits) noexcept {
    if (ahead == nullptr) return false;
    if (ahead->guarded_by == &poller) ahead->guarded_by = nullptr;
    if (ahead->armed_by != &poller) return false;
    ahead->armed_by = nullptr;
    change_state(state.load(base::relaxed) + one_event);  // relaxed: under the lock
    bits = readable;
    return true;
  });
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
  make_ready([&](std::uint32_t& bits) noexcept {
    // relaxed: under the lock
    if (when != nullptr && lifetime.load(base::relaxed) != *when) return false;
    if (home != &poller) return false;
    change_state((state.load(base::relaxed) & ~flags) + one_event);  // relaxed: under the lock
    // A request that ends says nothing of a later one, see `home`.
    if (when == nullptr) home = nullptr;
    bits = all_bits;
    return true;
  });
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
