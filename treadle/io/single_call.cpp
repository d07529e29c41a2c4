#include "treadle/io/single_call.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <memory>
#include <new>

#include "treadle/io/files.hpp"
#include "treadle/io/own_errno.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/io/reluctant_read.hpp"
#include "treadle/io/reluctant_write.hpp"

namespace treadle::io {
namespace {

// Unless the number has become another descriptor meanwhile.
void learn(const call_target& target, call_kind kind) noexcept {
  const base::guard hold(target.which->lock);
  // relaxed, both: under the lock; whoever does not see it learns it again
  if (target.which->lifetime.load(base::relaxed) != target.lifetime) return;
  target.which->kind.store(kind, base::relaxed);
}

bool reads_no_wait(call_kind kind) noexcept {
  return kind == call_kind::no_wait || kind == call_kind::counter ||
         kind == call_kind::no_wait_read;
}

call_kind known(const descriptor& which) noexcept {
  return which.kind.load(base::relaxed);  // relaxed: as above
}

// What is no socket.
call_kind kind_of_file(int number) noexcept {
  struct stat about {};
  if (::fstat(number, &about) != 0) return call_kind::ask_first;
  if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode)) {
    return call_kind::always;
  }
  return call_kind::no_wait;  // tried at least
}

// Of what refuses RWF_NOWAIT for a write, but perhaps not for a read.
call_kind kind_of_sink(int number) noexcept {
  struct stat about {};
  if (::fstat(number, &about) != 0) return call_kind::ask_first;
  // What has no type at all is the kernel's own: of these only eventfds can be full.
  return (about.st_mode & S_IFMT) == 0 ? call_kind::counter : call_kind::no_wait_read;
}

// Of what refuses RWF_NOWAIT for a read. Pipes without a name do so in old kernels; who reads them
// seldom has rivals, and is not to be slower for them.
call_kind kind_of_source(int number) noexcept {
  struct statfs about {};
  const bool is_pipe = ::fstatfs(number, &about) == 0 && about.f_type == PIPEFS_MAGIC;
  return is_pipe ? call_kind::ask_first : call_kind::reluctant;
}

bool is_refused(ssize_t result) noexcept { return result == -EOPNOTSUPP || result == -ENOSYS; }

ssize_t receive(int number, const iovec* parts, int count, int flags = 0) noexcept {
  flags |= MSG_DONTWAIT;
  if (count == 1) return kernel_recv(number, parts->iov_base, parts->iov_len, flags);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return as_result(::recvmsg(number, &message, flags));
}

std::size_t bytes_of(const iovec* parts, int count) noexcept {
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i].iov_len;
  return sum;
}

// With the lock held and nothing in the queue. A read of little takes more than it was asked for,
// if it can, so that it mostly empties the socket; `wants_block` if it could not and should.
ssize_t receive_generously(const call_target& target, std::uint32_t seen, const iovec* parts,
                           int count, bool& wants_block) noexcept {
  descriptor& which = *target.which;
  receive_queue& ahead = *which.ahead;
  const std::size_t asked = bytes_of(parts, count);
  const bool is_small = asked != 0 && asked < receive_queue::block_bytes;
  ssize_t result;
  if (is_small && ahead.has_block()) {
    result = kernel_recv(target.number, ahead.block(), receive_queue::block_bytes, MSG_DONTWAIT);
    if (result <= 0) return result;
    ahead.fill_block(static_cast<std::size_t>(result));
    if (static_cast<std::size_t>(result) < receive_queue::block_bytes) which.note_drained(seen);
    return ahead.take(parts, count, asked, false);
  }
  result = receive(target.number, parts, count);
  if (result <= 0) return result;
  if (static_cast<std::size_t>(result) < asked) {
    which.note_drained(seen);
  } else {
    wants_block = is_small;
  }
  return result;
}

// Without a lock, for the next read. Without memory reads go on as they did.
void give_block(const call_target& target) noexcept {
  std::unique_ptr<std::byte[]> made(new (std::nothrow) std::byte[receive_queue::block_bytes]);
  descriptor& which = *target.which;
  const base::guard hold(which.lock);
  // relaxed: under the lock
  const bool is_same = which.lifetime.load(base::relaxed) == target.lifetime;
  if (is_same && which.ahead != nullptr && !which.ahead->has_block()) {
    which.ahead->give_block(made.release());
  }
}

// Of a socket that is received from ahead: the queue first. The lock is held also over the kernel's
// own call: else what is received meanwhile, and read by the next call, could be older.
ssize_t receive_in_order(const call_target& target, std::uint32_t seen, const iovec* parts,
                         int count, int flags) noexcept {
  descriptor& which = *target.which;
  bool wants_block = false;
  bool tells_others = false;
  ssize_t result;
  {
    const base::guard hold(which.lock);
    // relaxed, here and below: under the lock
    if (which.lifetime.load(base::relaxed) != target.lifetime) return -EBADF;
    if (which.ahead != nullptr && (flags & (MSG_OOB | MSG_ERRQUEUE)) == 0) {
      if (!which.ahead->is_empty()) {
        const bool drops = (flags & MSG_TRUNC) != 0 && which.is_tcp.load(base::relaxed);
        return which.ahead->take(drops ? nullptr : parts, count, bytes_of(parts, count),
                                 (flags & MSG_PEEK) != 0);
      }
      if (which.ahead->is_armed()) return -EAGAIN;
    }
    if (which.ahead != nullptr && flags == 0 && which.is_tcp.load(base::relaxed)) {
      result = receive_generously(target, seen, parts, count, wants_block);
      // The socket may be empty, and say nothing to who waits for what is left.
      tells_others = !which.ahead->is_empty() && which.first != nullptr;
    } else {
      result = receive(target.number, parts, count, flags);
    }
  }
  if (wants_block) give_block(target);
  if (tells_others) which.deliver(target.lifetime, descriptor::readable);
  return result;
}

ssize_t send(int number, const iovec* parts, int count) noexcept {
  if (count == 1) return kernel_send(number, parts->iov_base, parts->iov_len, MSG_DONTWAIT);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return as_result(::sendmsg(number, &message, MSG_DONTWAIT));
}

// As as_result(), after a call that may have parked.
ssize_t file_result(ssize_t result) noexcept { return result >= 0 ? result : -own_errno(); }

}  // namespace

ssize_t read_once(const call_target& target, std::uint32_t seen, const iovec* parts, int count,
                  const base::wait_limit& limit) noexcept {
  descriptor& which = *target.which;
  const int number = target.number;
  // relaxed: said before the call
  if (which.receives_ahead.load(base::relaxed))
    return receive_in_order(target, seen, parts, count, 0);
  call_kind kind = known(which);
  if (kind == call_kind::socket || kind == call_kind::unknown) {
    const ssize_t result = receive(number, parts, count);
    if (result != -ENOTSOCK) {
      if (kind == call_kind::unknown && result != -EBADF) learn(target, call_kind::socket);
      if (result > 0 && static_cast<std::size_t>(result) < bytes_of(parts, count) &&
          which.is_tcp.load(base::relaxed)) {  // relaxed: not yet known is no harm
        which.note_drained(seen);
      }
      return result;
    }
    learn(target, kind = kind_of_file(number));
  }
  if (reads_no_wait(kind)) {
    const ssize_t result = as_result(::preadv2(number, parts, count, -1, RWF_NOWAIT));
    if (!is_refused(result)) return result;
    learn(target, kind = kind_of_source(number));
  }
  if (kind == call_kind::always) {
    return file_result(detail::blocking_read(number, parts, count, -1, limit));
  }
  if (kind == call_kind::reluctant) return read_reluctantly(target, parts, count, limit);
  if (!is_ready(number, POLLIN)) return -EAGAIN;
  return as_result(::readv(number, parts, count));
}

ssize_t write_once(const call_target& target, const iovec* parts, int count,
                   const base::wait_limit& limit) noexcept {
  descriptor& which = *target.which;
  const int number = target.number;
  call_kind kind = known(which);
  if (kind == call_kind::socket || kind == call_kind::unknown) {
    const ssize_t result = send(number, parts, count);
    if (result != -ENOTSOCK) {
      if (kind == call_kind::unknown && result != -EBADF) learn(target, call_kind::socket);
      return result;
    }
    learn(target, kind = kind_of_file(number));
  }
  if (kind == call_kind::no_wait) {
    const ssize_t result = as_result(::pwritev2(number, parts, count, -1, RWF_NOWAIT));
    if (!is_refused(result)) return result;
    learn(target, kind = kind_of_sink(number));
  }
  if (kind != call_kind::always) return write_reluctantly(target, kind, parts, count, limit);
  return file_result(detail::blocking_write(number, parts, count, -1, limit));
}

ssize_t receive_once(const call_target& target, std::uint32_t seen, void* buffer, std::size_t bytes,
                     int flags) noexcept {
  if (target.which->receives_ahead.load(base::relaxed)) {  // relaxed: said before the call
    const iovec part{buffer, bytes};
    return receive_in_order(target, seen, &part, 1, flags);
  }
  const ssize_t result = kernel_recv(target.number, buffer, bytes, flags | MSG_DONTWAIT);
  if (result >= 0) {
    if (known(*target.which) == call_kind::unknown) learn(target, call_kind::socket);
    if (result > 0 && static_cast<std::size_t>(result) < bytes && flags == 0 &&
        target.which->is_tcp.load(base::relaxed)) {  // relaxed: not yet known is no harm
      target.which->note_drained(seen);
    }
  } else if (result == -EAGAIN && known(*target.which) == call_kind::unknown) {
    learn(target, call_kind::socket);
  }
  return result;
}

bool is_ready(int number, short events) noexcept {
  pollfd asked{number, events, 0};
  return ::poll(&asked, 1, 0) != 0;
}

bool has_received(const descriptor& which) noexcept {
  if (!which.receives_ahead.load(base::relaxed)) return false;  // relaxed: said before the call
  auto& lock = const_cast<base::spin_lock&>(which.lock);
  const base::guard hold(lock);
  return which.ahead != nullptr && !which.ahead->is_empty();
}

ssize_t kernel_recv(int number, void* buffer, std::size_t bytes, int flags) noexcept {
#if defined(SYS_recvfrom) && !defined(TREADLE_SANITIZED)
  return as_result(::syscall(SYS_recvfrom, number, buffer, bytes, flags, nullptr, nullptr));
#else
  return as_result(::recv(number, buffer, bytes, flags));
#endif
}

ssize_t kernel_send(int number, const void* buffer, std::size_t bytes, int flags) noexcept {
#if defined(SYS_sendto) && !defined(TREADLE_SANITIZED)
  return as_result(::syscall(SYS_sendto, number, buffer, bytes, flags, nullptr, 0));
#else
  return as_result(::send(number, buffer, bytes, flags));
#endif
}

int make_never_block(const call_target& target) noexcept {
  descriptor& which = *target.which;
  const int number = target.number;
  if (which.never_blocks.load(base::relaxed)) return 0;  // relaxed: else it is done once more
  const int old_flags = ::fcntl(number, F_GETFL);
  if (old_flags < 0) return static_cast<int>(-errno_as_result());
  if ((old_flags & O_NONBLOCK) == 0 && ::fcntl(number, F_SETFL, old_flags | O_NONBLOCK) != 0) {
    return static_cast<int>(-errno_as_result());
  }
  const base::guard hold(which.lock);
  // relaxed, both: under the lock
  if (which.lifetime.load(base::relaxed) == target.lifetime) {
    which.never_blocks.store(true, base::relaxed);
  }
  return 0;
}

}  // namespace treadle::io
