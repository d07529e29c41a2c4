// accept, connect, close.
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "treadle/io/calls.hpp"
#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/files.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/io/single_call.hpp"
#include "treadle/sched/worker.hpp"

#if defined(TREADLE_TSAN)
// Sourced: the sanitizer's run time has them, and no header declares them.
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

namespace treadle::io {
namespace {

// A new descriptor, whose number may have been somebody's that was closed behind our back.
void begin_socket(int number, bool tcp, bool never_blocks) noexcept {
  int error = 0;
  descriptor* which = descriptor_table::instance().find(number, error);
  if (which == nullptr) return;  // found out again, and said, at its first use
  const base::guard hold(which->lock);
  if (which->home != nullptr && which->home->holds_files()) {
    // Late, but else the old file would stay open. relaxed: under the lock
    which->home->unwatch(number, which->lifetime.load(base::relaxed), watch_kind::all, nullptr);
  }
  which->begin_lifetime();
  // relaxed, all: nobody else knows the number yet
  which->kind.store(call_kind::socket, base::relaxed);
  which->is_tcp.store(tcp, base::relaxed);
  which->never_blocks.store(never_blocks, base::relaxed);
}

// Blocking accepts have no flag: the listener must not block. Learned once.
int prepare_listener(const call_target& target) noexcept {
  descriptor& which = *target.which;
  if (which.never_blocks.load(base::relaxed)) return 0;  // relaxed: else it is done once more
  if (const int error = open_poller()) return error;
  int protocol = 0;
  socklen_t bytes = sizeof(protocol);
  const bool known = ::getsockopt(target.number, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes) == 0;
  // A terminal, say, would go on with O_NONBLOCK.
  if (const auto error = known ? 0 : -errno_as_result(); error == ENOTSOCK) return ENOTSOCK;
  const bool tcp = known && protocol == IPPROTO_TCP;
  {
    const base::guard hold(which.lock);
    which.is_tcp.store(tcp, base::relaxed);  // relaxed: a listener is not read from
  }
  return make_never_block(target);
}

// connect() without waiting; 0 or -errno.
ssize_t connect_once(int socket, const sockaddr* address, socklen_t bytes) noexcept {
  const int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0) return errno_as_result();
  const bool blocks = (flags & O_NONBLOCK) == 0;
  if (blocks) ::fcntl(socket, F_SETFL, flags | O_NONBLOCK);
  const ssize_t result = as_result(::connect(socket, address, bytes));
  if (blocks) ::fcntl(socket, F_SETFL, flags);
  return result;
}

// How an attempt that is in progress stands: 0, -errno or -EAGAIN. The next connect(2) says it, and
// is what tells the socket, too: else it would be told, and say 0, at the program's next one.
ssize_t connect_progress(int socket, const sockaddr* address, socklen_t address_bytes) noexcept {
  pollfd asked{socket, POLLOUT, 0};
  if (::poll(&asked, 1, 0) <= 0) return -EAGAIN;
  // An error alone may be news from the way, with the attempt going on.
  if ((asked.revents & POLLOUT) != 0) {
    const ssize_t result = as_result(::connect(socket, address, address_bytes));
    if (result == -EISCONN) return 0;
    if (result != -EALREADY && result != -EINPROGRESS) return result;
  }
  int error = 0;
  socklen_t bytes = sizeof(error);
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return errno_as_result();
  return -error;
}

ssize_t close_among_others(int descriptor) noexcept {
#if defined(TREADLE_TSAN)
  // TSan takes a close for a write to the number, which races with others' calls upon it; that is
  // what is promised here. But it must see the close: else it takes the number's next owner, in
  // another thread, for a race, too.
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  const ssize_t result = as_result(::close(descriptor));
#if defined(TREADLE_TSAN)
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
  return result;
}

}  // namespace

int accept(int listener, sockaddr* address, socklen_t* address_bytes, int flags,
           const wait_limit& limit) {
  bool tcp = false;
  const ssize_t made = call_when_ready(
      listener, descriptor::readable, limit, [&](const call_target& target, std::uint32_t) {
        if (const int error = prepare_listener(target)) return static_cast<ssize_t>(-error);
        tcp = target.which->is_tcp.load(base::relaxed);  // relaxed: learned once
        return as_result(::accept4(target.number, address, address_bytes, flags));
      });
  if (made >= 0) begin_socket(static_cast<int>(made), tcp, (flags & SOCK_NONBLOCK) != 0);
  return static_cast<int>(made);
}

int connect(int socket, const sockaddr* address, socklen_t address_bytes, const wait_limit& limit) {
  if (is_stopped(limit)) return static_cast<int>(fail(ECANCELED));
  ssize_t result = -EAGAIN;
  for (unsigned round = 0; result == -EAGAIN; ++round) {
    result = connect_once(socket, address, address_bytes);
    if (result != -EAGAIN) break;
    // A local socket whose listener's queue is full says EAGAIN, and there is no event for it.
    if (const int error = pause_before_next_try(round, limit)) {
      return static_cast<int>(fail(error));
    }
  }
  if (result == 0) return 0;
  if (result != -EINPROGRESS && result != -EALREADY && result != -EINTR) {
    return static_cast<int>(fail(static_cast<int>(-result)));
  }
  return static_cast<int>(call_when_ready(
      socket, descriptor::writable, limit, [=](const call_target& target, std::uint32_t) {
        return connect_progress(target.number, address, address_bytes);
      }));
}

int receive_ahead(int socket) {
  call_target target;
  if (const int error = target.open(socket)) return static_cast<int>(fail(error));
  int type = 0;
  socklen_t bytes = sizeof(type);
  if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0) return -1;
  if (type != SOCK_STREAM) return 0;
  receive_queue* queue = receive_queue::make();
  if (queue == nullptr) return static_cast<int>(fail(ENOMEM));
  descriptor& which = *target.which;
  const base::guard hold(which.lock);
  // relaxed, all: under the lock
  if (which.ahead != nullptr || which.lifetime.load(base::relaxed) != target.lifetime) {
    receive_queue::release(queue);
    return 0;
  }
  which.kind.store(call_kind::socket, base::relaxed);
  which.ahead = queue;
  which.receives_ahead.store(true, base::relaxed);
  return 0;
}

int close(int descriptor) {
  int error = EBADF;
  io::descriptor* which = descriptor_table::instance().find(descriptor, error);
  if (which == nullptr) return ::close(descriptor);
  const call_kind kind =
      which->kind.load(base::relaxed);  // relaxed: a hint; sockets have no blocks
  if ((kind == call_kind::unknown || kind == call_kind::always) && close_takes_long(descriptor)) {
    forget(descriptor);
    return close_on_pool(descriptor);
  }
  let_go(*which, descriptor);
  // The lock is held over the call: nobody can begin to wait for a descriptor that is about to
  // go, or meet the one that gets its number before this one is forgotten.
  const base::guard hold(which->lock);
  which->begin_lifetime();
  const ssize_t result = close_among_others(descriptor);
  // Linux closes it all the same.
  return result == 0 || result == -EINTR ? 0 : static_cast<int>(fail(static_cast<int>(-result)));
}

void forget(int descriptor) {
  int error = 0;
  io::descriptor* which = descriptor_table::instance().find(descriptor, error);
  if (which == nullptr) return;
  let_go(*which, descriptor);
  const base::guard hold(which->lock);
  if (which->home != nullptr) {
    // relaxed: under the lock
    which->home->unwatch(descriptor, which->lifetime.load(base::relaxed), watch_kind::all, nullptr);
  }
  which->begin_lifetime();
}

}  // namespace treadle::io
