// read, write and their relatives.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "treadle/io/calls.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/parts.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/io/single_call.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {
namespace {

// Calls `attempt(target, seen, done)` until all bytes are through. What was transferred counts
// more than an error that came after it.
template <class Attempt>
ssize_t transfer_all(int number, std::size_t bytes, const wait_limit& limit,
                     Attempt&& attempt) noexcept {
  std::size_t done = 0;
  do {
    const ssize_t result = call_when_ready(
        number, descriptor::writable, limit,
        [&](const call_target& target, std::uint32_t) { return attempt(target, done); });
    if (result < 0) return done != 0 ? static_cast<ssize_t>(done) : result;
    if (result == 0) break;
    done += static_cast<std::size_t>(result);
  } while (done < bytes);
  return static_cast<ssize_t>(done);
}

// A copy of what is left of a list of parts.
class rest_of_parts {
 public:
  rest_of_parts(const iovec* parts, int count, std::size_t done) noexcept {
    for (; count > 0 && done >= parts->iov_len; ++parts, --count) done -= parts->iov_len;
    for (; count > 0 && count_ < capacity; ++parts, --count) {
      copy_[count_].iov_base = static_cast<std::byte*>(parts->iov_base) + done;
      copy_[count_++].iov_len = parts->iov_len - done;
      done = 0;
    }
  }
  const iovec* parts() const noexcept { return copy_; }
  int count() const noexcept { return count_; }

 private:
  // Guess: few lists are longer, and these take one more call.
  static constexpr int capacity = 16;
  int count_ = 0;
  iovec copy_[capacity];
};

ssize_t receive_without_waiting(int socket, void* buffer, std::size_t bytes, int flags) noexcept {
  call_target target;
  if (target.open(socket) != 0 ||
      !target.which->receives_ahead.load(base::relaxed)) {  // relaxed: said before the call
    return ::recv(socket, buffer, bytes, flags);
  }
  // acquire: pairs with descriptor::change_state()
  const std::uint32_t seen = target.which->state.load(base::acquire);
  ssize_t result = receive_once(target, seen, buffer, bytes, flags);
  if (result == -EAGAIN) {
    stop_receiving(target);
    result = receive_once(target, seen, buffer, bytes, flags);
  }
  return result >= 0 ? result : fail(static_cast<int>(-result));
}

// Writes some of what was received ahead, without waiting. -EAGAIN when the sink is full, 0 when
// there is nothing, or the error of what was received.
ssize_t splice_received(const call_target& source, int to, off_t* to_offset,
                        std::size_t bytes) noexcept {
  // Guess: few stacks are too small for it, and a pipe takes it as a whole.
  std::byte some[2048];
  const std::size_t part = bytes < sizeof(some) ? bytes : sizeof(some);
  const iovec into{some, part};
  const base::guard hold(source.which->lock);
  if (source.which->ahead == nullptr || source.which->ahead->is_empty()) return 0;
  const ssize_t there = source.which->ahead->take(&into, 1, part, true);
  if (there <= 0) return source.which->ahead->take(&into, 1, part, false);
  const auto count = static_cast<std::size_t>(there);
  const ssize_t written = as_result(to_offset != nullptr ? ::pwrite(to, some, count, *to_offset)
                                                         : ::write(to, some, count));
  if (written <= 0) return written;
  if (to_offset != nullptr) *to_offset += written;
  return source.which->ahead->take(nullptr, 0, static_cast<std::size_t>(written), false);
}

}  // namespace

ssize_t read(int descriptor, void* buffer, std::size_t bytes, const wait_limit& limit) {
  const iovec part{buffer, bytes};
  return readv(descriptor, &part, 1, limit);
}

ssize_t readv(int descriptor, const iovec* parts, int count, const wait_limit& limit) {
  if (are_too_much(parts, count)) return fail(EINVAL);
  return call_when_ready(descriptor, io::descriptor::readable, limit,
                         [=, &limit](const call_target& target, std::uint32_t seen) {
                           return read_once(target, seen, parts, count, limit);
                         });
}

ssize_t write(int descriptor, const void* buffer, std::size_t bytes, const wait_limit& limit) {
  const iovec all{const_cast<void*>(buffer), bytes};
  if (are_too_much(&all, 1)) return fail(EINVAL);
  const auto attempt = [=, &limit](const call_target& target, std::size_t done) {
    const iovec part{static_cast<std::byte*>(const_cast<void*>(buffer)) + done, bytes - done};
    return write_once(target, &part, 1, limit);
  };
  return transfer_all(descriptor, bytes, limit, attempt);
}

ssize_t writev(int descriptor, const iovec* parts, int count, const wait_limit& limit) {
  if (are_too_much(parts, count)) return fail(EINVAL);
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  const auto attempt = [=, &limit](const call_target& target, std::size_t done) {
    // Whole at first: a message must not be cut.
    if (done == 0) return write_once(target, parts, count, limit);
    const rest_of_parts rest(parts, count, done);
    return write_once(target, rest.parts(), rest.count(), limit);
  };
  return transfer_all(descriptor, bytes, limit, attempt);
}

ssize_t recv(int socket, void* buffer, std::size_t bytes, int flags, const wait_limit& limit) {
  if ((flags & MSG_DONTWAIT) != 0) return receive_without_waiting(socket, buffer, bytes, flags);
  const bool whole = (flags & MSG_WAITALL) != 0 && (flags & MSG_PEEK) == 0;
  std::size_t done = 0;
  for (;;) {
    const ssize_t result = call_when_ready(
        socket, descriptor::readable, limit, [=](const call_target& target, std::uint32_t seen) {
          return receive_once(target, seen, static_cast<std::byte*>(buffer) + done, bytes - done,
                              flags);
        });
    if (result < 0) return done != 0 ? static_cast<ssize_t>(done) : result;
    done += static_cast<std::size_t>(result);
    if (!whole || result == 0 || done == bytes) return static_cast<ssize_t>(done);
  }
}

ssize_t send(int socket, const void* buffer, std::size_t bytes, int flags,
             const wait_limit& limit) {
  if ((flags & MSG_DONTWAIT) != 0) {
    const ssize_t result = kernel_send(socket, buffer, bytes, flags);
    return result >= 0 ? result : fail(static_cast<int>(-result));
  }
  return transfer_all(socket, bytes, limit, [=](const call_target& target, std::size_t done) {
    return kernel_send(target.number, static_cast<const std::byte*>(buffer) + done, bytes - done,
                       flags | MSG_DONTWAIT);
  });
}

ssize_t sendfile(int to, int from, off_t* offset, std::size_t bytes, const wait_limit& limit) {
  return transfer_all(to, bytes, limit, [=](const call_target& target, std::size_t done) {
    if (const int error = make_never_block(target)) return static_cast<ssize_t>(-error);
    return as_result(::sendfile(target.number, from, offset, bytes - done));
  });
}

ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t bytes,
               unsigned flags, const wait_limit& limit) {
  call_target source;
  if (const int error = source.open(from)) return fail(error);
  if (const int error = make_never_block(source)) return fail(error);
  for (;;) {
    call_target sink;
    if (const int error = sink.open(to)) return fail(error);
    if (const int error = make_never_block(sink)) return fail(error);
    if (is_stopped(limit)) return fail(ECANCELED);
    // acquire: pairs with descriptor::change_state()
    const std::uint32_t seen_source = source.which->state.load(base::acquire);
    const std::uint32_t seen_sink = sink.which->state.load(base::acquire);
    // relaxed: said before the call
    const bool ahead = source.which->receives_ahead.load(base::relaxed);
    if (ahead) stop_receiving(source);
    ssize_t result = ahead ? splice_received(source, to, to_offset, bytes) : 0;
    if (result == 0) {
      result =
          as_result(::splice(from, from_offset, to, to_offset, bytes, flags | SPLICE_F_NONBLOCK));
    }
    if (result >= 0) return result;
    if (result == -EINTR) continue;
    if (result != -EAGAIN) return fail(static_cast<int>(-result));
    // EAGAIN does not say which side it was.
    pollfd sides[2] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};
    ::poll(sides, 2, 0);
    if (has_received(*source.which)) sides[0].revents = POLLIN;
    int error = 0;
    if (sides[0].revents == 0) {
      error = wait_for_event(source, seen_source, descriptor::readable, limit);
    } else if (sides[1].revents == 0) {
      error = wait_for_event(sink, seen_sink, descriptor::writable, limit);
    } else {
      core::current_thread().scheduler->yield();  // it has changed since
      if (limit.until().has_passed()) error = ETIMEDOUT;
    }
    if (error != 0) return fail(error);
  }
}

}  // namespace treadle::io
