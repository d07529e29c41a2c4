// Reads try what is in the page cache first, and a hot file then needs nobody's help: by preadv2()
// with RWF_NOWAIT, or, in M:N, as long as reads have not blocked, by the plain call, which takes a
// sixth less; a worker that it does block is relieved. Writes do not: where file systems offer it
// they may write a part, and the rest written later would no longer be one write, which lines
// appended by several rely on.
#include "treadle/io/files.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "treadle/io/file_request.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/parts.hpp"
#include "treadle/io/pool_call.hpp"
#include "treadle/io/waiting.hpp"

namespace treadle::io {
namespace {

using kind = file_request::kind;

// Whether the caller may block its kernel thread.
bool in_place(const wait_limit& limit) noexcept {
  return !shares_kernel_thread() && !may_end_early(limit);
}

// Whether a read with one part, which has a cheaper call, may block its worker.
bool may_be_made(const file_request& read, const wait_limit& limit) noexcept {
  return read.count == 1 && !may_end_early(limit) && core::current_thread().scheduler->lets_block();
}

// True when the call is over before it began, with errno set.
bool stopped_already(const wait_limit& limit) noexcept {
  if (!is_stopped(limit)) return false;
  own_errno() = ECANCELED;
  return true;
}

ssize_t perform(const file_request& request, const wait_limit& limit) noexcept {
  if (stopped_already(limit)) return -1;
  if (in_place(limit)) return make_call(request);
  if (limit.until().has_passed()) return fail_with(ETIMEDOUT);
  return make_call_elsewhere(request, limit);
}

// io_uring writes to a pipe or a socket wherever it is told to: what pwrite(2) says to that, and to
// what is not open for writing, is asked once in a descriptor's lifetime. 0 or an errno.
int check_positions(int fd) noexcept {
  call_target target;
  if (const int error = target.open(fd)) return error;
  descriptor& which = *target.which;
  if (which.has_positions.load(base::relaxed)) return 0;  // relaxed: else it is asked once more
  const int before = own_errno();
  if (::pwritev(fd, nullptr, 0, 0) < 0) {
    const int error = own_errno();
    own_errno() = before;
    return error;
  }
  const base::guard hold(which.lock);
  // relaxed, both: under the lock
  if (which.lifetime.load(base::relaxed) == target.lifetime) {
    which.has_positions.store(true, base::relaxed);
  }
  return 0;
}

// After a short read: whether there is no more to come. Of what is not a regular file, never more.
bool at_end(int fd, off_t offset, std::size_t just_read) noexcept {
  struct stat about {};
  if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return true;
  const off_t position =
      offset < 0 ? ::lseek(fd, 0, SEEK_CUR) : offset + static_cast<off_t>(just_read);
  return position < 0 || position >= about.st_size;
}

// The parts without their first `bytes`.
struct rest_of_parts {
  rest_of_parts(const iovec* from, int from_count, std::size_t bytes) noexcept {
    while (from_count > 0 && bytes >= from->iov_len) {
      bytes -= from->iov_len;
      ++from;
      --from_count;
    }
    for (; count < from_count && count < static_cast<int>(parts.size()); ++count) {
      parts[static_cast<std::size_t>(count)] = from[count];
    }
    if (count > 0) {
      parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + bytes;
      parts[0].iov_len -= bytes;
    }
  }
  // Guess: more parts than these are read in several turns.
  std::array<iovec, 16> parts;
  int count = 0;
};

}  // namespace

namespace detail {

ssize_t blocking_read(int fd, const iovec* parts, int count, off_t offset,
                      const wait_limit& limit) noexcept {
  file_request request{.what = kind::read, .fd = fd, .parts = parts, .count = count};
  request.offset = offset;
  if (stopped_already(limit)) return -1;
  if (in_place(limit) || may_be_made(request, limit)) return make_call(request);
  const int before = own_errno();
  const ssize_t cached = ::preadv2(fd, parts, count, offset < 0 ? -1 : offset, RWF_NOWAIT);
  if (cached < 0) {
    const int error = own_errno();
    if (error != EAGAIN && error != EOPNOTSUPP && error != ENOSYS) return -1;
    own_errno() = before;
    if (error == EAGAIN) core::current_thread().scheduler->note_would_block();
  }
  const std::size_t total = bytes_in(parts, count);
  std::size_t got = cached > 0 ? static_cast<std::size_t>(cached) : 0;
  // Nothing at all is looked into as well: Linux 5.9 and 5.10 say so of what is not cached
  // (preadv2(2)).
  bool over = cached >= 0 && (got == total || at_end(fd, offset, got));
  while (!over) {
    const rest_of_parts rest(parts, count, got);
    request.parts = rest.parts.data();
    request.count = rest.count;
    if (offset >= 0) request.offset = offset + static_cast<off_t>(got);
    const ssize_t more = perform(request, limit);
    if (more < 0) {
      if (got == 0) return -1;
      own_errno() = before;  // the part that was read counts
      break;
    }
    got += static_cast<std::size_t>(more);
    over = more == 0 || got == total || at_end(fd, offset, got);
  }
  return static_cast<ssize_t>(got);
}

ssize_t blocking_write(int fd, const iovec* parts, int count, off_t offset,
                       const wait_limit& limit) noexcept {
  file_request request{.what = kind::write, .fd = fd, .parts = parts, .count = count};
  request.offset = offset;
  if (offset >= 0 && !in_place(limit) && !is_stopped(limit)) {
    if (const int error = check_positions(fd)) return fail_with(error);
  }
  return perform(request, limit);
}

}  // namespace detail

int open(const char* path, int flags, mode_t mode, const wait_limit& limit) noexcept {
  file_request request{.what = kind::open};
  request.path = path;
  request.flags = flags;
  request.mode = mode;
  return static_cast<int>(perform(request, limit));
}

bool close_takes_long(int fd) noexcept {
  struct stat about {};
  return shares_kernel_thread() && ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode) &&
         about.st_nlink == 0 && about.st_blocks != 0;
}

int close_on_pool(int fd) noexcept {
  const int result = call_on_pool([fd] { return ::close(fd); });
  // The descriptor is gone all the same: Linux frees it first.
  return result != 0 && own_errno() == EINTR ? 0 : result;
}

ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset,
              const wait_limit& limit) noexcept {
  const iovec part{buffer, bytes};
  return preadv(fd, &part, 1, offset, limit);
}

ssize_t pwrite(int fd, const void* buffer, std::size_t bytes, off_t offset,
               const wait_limit& limit) noexcept {
  const iovec part{const_cast<void*>(buffer), bytes};
  return pwritev(fd, &part, 1, offset, limit);
}

ssize_t preadv(int fd, const iovec* parts, int count, off_t offset,
               const wait_limit& limit) noexcept {
  if (offset < 0 || are_too_much(parts, count)) return fail_with(EINVAL);
  return detail::blocking_read(fd, parts, count, offset, limit);
}

ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset,
                const wait_limit& limit) noexcept {
  if (offset < 0 || are_too_much(parts, count)) return fail_with(EINVAL);
  return detail::blocking_write(fd, parts, count, offset, limit);
}

int fsync(int fd, const wait_limit& limit) noexcept {
  return static_cast<int>(perform({.what = kind::fsync, .fd = fd}, limit));
}

int fdatasync(int fd, const wait_limit& limit) noexcept {
  return static_cast<int>(perform({.what = kind::fdatasync, .fd = fd}, limit));
}

}  // namespace treadle::io
