// Files, names and children: the calls of POSIX that nothing tells the readiness of.
//
// Arguments, results and errno are POSIX's; the last parameter says how long the call may wait. A
// deadline gives ETIMEDOUT, a stop ECANCELED; a stop that was asked for before the call ends it at
// once, a deadline that has passed lets it do what needs no waiting (the file's cached part is
// read), and nothing else.
// Blocks: the calling thread. Threads that share a kernel thread with others park, while io_uring
// or the blocking-call pool does the work; any other thread makes the plain call, in place, unless
// it may have to come back early.
// Buffers and names must stay until the call returns, and are not touched after it. Time-outs:
//   with io_uring the call is taken back. If it is too late for that it counts as done;
//   with the pool a call that has begun cannot be taken back. It is left to itself, with copies of
//   what it needs: after a time-out a pwrite may still reach the file, a read at the file's own
//   position may still move it; what an open got is closed again. Among the copies is one of the
//   descriptor, and its end gives up the process's record locks on the file (fcntl(2)).
//   An open of a FIFO or a device is made apart from it, and interrupted: nothing is left behind.
// Happens-before: as for any system call, none but through the file.
// Source: POSIX.1-2017; preadv2(2), io_uring(7), pidfd_open(2).
#pragma once

#include <fcntl.h>
#include <netdb.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "treadle/base/wait_limit.hpp"
#include "treadle/io/blocking_pool.hpp"

namespace treadle::io {

using base::wait_limit;

int open(const char* path, int flags, mode_t mode = 0, const wait_limit& limit = {}) noexcept;

// For close(): the end of a file that has no name frees its blocks, which takes long when there are
// many; so that is done on the pool, while only the calling thread waits.
bool close_takes_long(int fd) noexcept;
int close_on_pool(int fd) noexcept;

// May transfer less than asked for at the end of the file, on a full disk, or when the limit comes
// after a part.
ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset,
              const wait_limit& limit = {}) noexcept;
ssize_t pwrite(int fd, const void* buffer, std::size_t bytes, off_t offset,
               const wait_limit& limit = {}) noexcept;
ssize_t preadv(int fd, const iovec* parts, int count, off_t offset,
               const wait_limit& limit = {}) noexcept;
ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset,
                const wait_limit& limit = {}) noexcept;

int fsync(int fd, const wait_limit& limit = {}) noexcept;
int fdatasync(int fd, const wait_limit& limit = {}) noexcept;

// The result is an EAI_ code; at the limit EAI_SYSTEM, with errno as above. The look-up goes on for
// as long as resolv.conf(5) lets it, on one of 64 kernel threads that only look-ups have: while as
// many wait for silent servers, others wait for their turn, within their limits.
int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found,
                const wait_limit& limit = {}) noexcept;

// Nothing is reaped when the limit comes first, and nothing is left behind.
pid_t waitpid(pid_t which, int* status, int options, const wait_limit& limit = {}) noexcept;

namespace detail {

// For descriptors that readiness says nothing about: at `offset`, or where it is -1, at the file's
// own position.
ssize_t blocking_read(int fd, const iovec* parts, int count, off_t offset,
                      const wait_limit& limit) noexcept;
ssize_t blocking_write(int fd, const iovec* parts, int count, off_t offset,
                       const wait_limit& limit) noexcept;

}  // namespace detail
}  // namespace treadle::io
