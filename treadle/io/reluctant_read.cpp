#include "treadle/io/reluctant_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "treadle/io/interruptible.hpp"
#include "treadle/io/single_call.hpp"

namespace treadle::io {
namespace {

// vmsplice(2) would write to what may be written.
bool is_read_only(int flags) noexcept { return (flags & O_ACCMODE) == O_RDONLY; }

// What is no pipe is no descriptor for this call; -EBADF also where the kernel has none.
ssize_t read_pipe(int number, const iovec* parts, int count) noexcept {
  const ssize_t result =
      as_result(::vmsplice(number, parts, static_cast<std::size_t>(count), SPLICE_F_NONBLOCK));
  return result == -ENOSYS || result == -EPERM ? -EBADF : result;
}

}  // namespace

ssize_t read_reluctantly(const call_target& target, const iovec* parts, int count,
                         const base::wait_limit& limit) noexcept {
  const int number = target.number;
  const int flags = ::fcntl(number, F_GETFL);
  if (flags < 0) return errno_as_result();
  if (is_read_only(flags)) {
    const ssize_t result = read_pipe(number, parts, count);
    if (result != -EBADF) return result;
  }
  if (!is_ready(number, POLLIN)) return -EAGAIN;
  auto read_now = [&]() noexcept -> ssize_t {
    return target.is_another() ? -EBADF : as_result(::readv(number, parts, count));
  };
  return (flags & O_NONBLOCK) != 0 ? read_now() : call_interruptibly(read_now, &target, limit);
}

bool reads_reluctantly_now(const call_target& target) noexcept {
  // relaxed: learned again if not seen
  if (target.which->kind.load(base::relaxed) != call_kind::reluctant) return false;
  struct stat about {};
  const bool is_fifo = ::fstat(target.number, &about) == 0 && S_ISFIFO(about.st_mode);
  if (is_fifo && is_read_only(::fcntl(target.number, F_GETFL))) return false;
  return is_ready(target.number, POLLIN);
}

}  // namespace treadle::io
