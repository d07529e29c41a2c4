#include "treadle/io/reluctant_read.hpp"

#include <fcntl.h>

#include "treadle/io/interruptible.hpp"
#include "treadle/io/single_call.hpp"

namespace treadle::io {

ssize_t read_reluctantly(const call_target& target, const iovec* parts, int count,
                         const base::wait_limit& limit) noexcept {
  const int number = target.number;
  if (!is_ready(number, POLLIN)) return -EAGAIN;
  const int flags = ::fcntl(number, F_GETFL);
  if (flags < 0) return errno_as_result();
  auto read_now = [&]() noexcept -> ssize_t {
    return target.is_another() ? -EBADF : as_result(::readv(number, parts, count));
  };
  return (flags & O_NONBLOCK) != 0 ? read_now() : call_interruptibly(read_now, &target, limit);
}

bool reads_reluctantly_now(const call_target& target) noexcept {
  // relaxed: learned again if not seen
  return target.which->kind.load(base::relaxed) == call_kind::reluctant &&
         is_ready(target.number, POLLIN);
}

}  // namespace treadle::io
