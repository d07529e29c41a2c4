#include "treadle/io/reluctant_write.hpp"

#include <fcntl.h>

#include <cstring>

#include "treadle/io/interruptible.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/single_call.hpp"

namespace treadle::io {
namespace {

bool adds_one(const iovec* parts, int count) noexcept {
  std::uint64_t value = 0;
  if (count != 1 || parts->iov_len != sizeof(value)) return false;
  std::memcpy(&value, parts->iov_base, sizeof(value));
  return value == 1;
}

// Under the lock: no thread of ours adds something between the look and the write.
ssize_t add_one(const call_target& target, const iovec* part) noexcept {
  const base::guard hold(target.which->lock);
  if (target.is_another()) return -EBADF;
  if (!is_ready(target.number, POLLOUT)) return -EAGAIN;
  return as_result(::writev(target.number, part, 1));
}

// Of what has O_NONBLOCK. Where there is room, but not enough, no event says when there is; and who
// would wait for one would keep others from what there is.
ssize_t write_if_possible(const call_target& target, const iovec* parts, int count,
                          const base::wait_limit& limit) noexcept {
  for (unsigned round = 0;; ++round) {
    if (target.is_another()) return -EBADF;
    const ssize_t result = as_result(::writev(target.number, parts, count));
    if (result != -EAGAIN || !is_ready(target.number, POLLOUT)) return result;
    if (const int error = pause_before_next_try(round, limit)) return -error;
  }
}

}  // namespace

bool writes_reluctantly(const descriptor& which) noexcept {
  const call_kind kind = which.kind.load(base::relaxed);  // relaxed: learned again if not seen
  return kind == call_kind::counter || kind == call_kind::no_wait_read ||
         kind == call_kind::ask_first || kind == call_kind::reluctant;
}

ssize_t write_reluctantly(const call_target& target, call_kind kind, const iovec* parts, int count,
                          const base::wait_limit& limit) noexcept {
  const int number = target.number;
  if (kind == call_kind::counter && adds_one(parts, count)) return add_one(target, parts);
  const int flags = ::fcntl(number, F_GETFL);
  if (flags < 0) return errno_as_result();
  if ((flags & O_NONBLOCK) != 0) return write_if_possible(target, parts, count, limit);
  if (!is_ready(number, POLLOUT)) return -EAGAIN;
  auto write_now = [&]() noexcept -> ssize_t {
    return target.is_another() ? -EBADF : as_result(::writev(number, parts, count));
  };
  return call_interruptibly(write_now, &target, limit);
}

}  // namespace treadle::io
