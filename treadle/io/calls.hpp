// POSIX input and output that blocks the thread and not its worker. Public: <treadle/io.hpp>.
//
// All calls here keep to this:
//   - Names, arguments and results are POSIX's or Linux's: -1 and errno on failure. The descriptor
//     may have O_NONBLOCK or not: the call waits in any case.
//   - The last parameter says how long: at its point -1 and ETIMEDOUT, when its stop is requested
//     -1 and ECANCELED, unless something was transferred; then that counts. A limit in the past
//     tries once. Exactly one of result, time-out and stop happens. Each call is a cancellation
//     point, also for the thread's own token, a jthread's (this_thread::stop_token()), unless a
//     this_thread::stop_shield is up; a stop that was requested before the call is seen first.
//   - Writing to a connection that the peer has closed raises SIGPIPE, unless MSG_NOSIGNAL is
//     given or the signal ignored.
//   - More than IOV_MAX parts, or more than SSIZE_MAX bytes in all, are EINVAL.
//   - Never EINTR: a call that a signal interrupts goes on.
//   - Where threads share workers, the thread parks and the poller wakes it. A thread with a kernel
//     thread of its own (scope system, main, a library's) blocks that.
//   - ENOMEM, EMFILE and what else the poller's own system calls say may be a call's error, too.
//   - Several threads may wait for one descriptor; an event wakes all who wait for it.
//   - Close with treadle::io::close(): it ends the waits of others with EBADF, and it is how the
//     runtime learns that a number will mean another descriptor. Before something else closes a
//     descriptor that was used here (a library, dup2), call forget().
//   - errno is the thread's. But the address of errno is the kernel thread's, and a compiler may
//     keep it over a call: read errno in a function in which nothing waited before, or use the
//     classes of treadle/io/socket.hpp, which throw.
// Happens-before: as the kernel's for the bytes themselves, nothing more.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "treadle/base/wait_limit.hpp"

namespace treadle::io {

using base::wait_limit;

// At least one byte, or the end. Of a regular file all bytes up to its end, as files.hpp says. Of
// terminals, inotify and most other devices, and of FIFOs that are open for both, it is made as a
// write to them.
ssize_t read(int descriptor, void* buffer, std::size_t bytes, const wait_limit& limit = {});
ssize_t readv(int descriptor, const iovec* parts, int count, const wait_limit& limit = {});

// All bytes, as a blocking write(); fewer after an error, a time-out or a stop in between. To
// terminals, eventfds (but for 1) and other devices that may be full it is made by another kernel
// thread, some 10 to 40 us, as nothing but a signal ends such a write: docs/decisions/0040.
ssize_t write(int descriptor, const void* buffer, std::size_t bytes, const wait_limit& limit = {});
ssize_t writev(int descriptor, const iovec* parts, int count, const wait_limit& limit = {});

// With MSG_DONTWAIT in the flags they do not wait, whatever the limit.
ssize_t recv(int socket, void* buffer, std::size_t bytes, int flags, const wait_limit& limit = {});
ssize_t send(int socket, const void* buffer, std::size_t bytes, int flags,
             const wait_limit& limit = {});

// As accept4(2). Sets O_NONBLOCK on the listening socket, once; the new one is as `flags` say.
int accept(int listener, sockaddr* address, socklen_t* address_bytes, int flags = 0,
           const wait_limit& limit = {});

// A connect() that was given up goes on in the kernel: close the socket. ETIMEDOUT may also be
// TCP's own.
int connect(int socket, const sockaddr* address, socklen_t address_bytes,
            const wait_limit& limit = {});

// As poll(2): how many descriptors have something to say, 0 at the limit's point; and POLLNVAL for
// one that another thread closed meanwhile.
int poll(pollfd* descriptors, nfds_t count, const wait_limit& limit = {});
// One descriptor: its events, 0 at the limit's point, or -1.
int poll(int descriptor, short events, const wait_limit& limit = {});

// Until a read or a write may go on without waiting, or for no reason: 0, or -1. Costs no system
// call when the poller knows the descriptor; so a buffer need only be there while there is data.
int wait_readable(int descriptor, const wait_limit& limit = {});
int wait_writable(int descriptor, const wait_limit& limit = {});

// As splice(2) and sendfile(2); both set O_NONBLOCK on what is not a regular file. splice() moves
// at least one byte, sendfile() all, as far as there are so many. Reading the file may block the
// worker.
ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t bytes,
               unsigned flags, const wait_limit& limit = {});
ssize_t sendfile(int to, int from, off_t* offset, std::size_t bytes, const wait_limit& limit = {});

// A promise, until close() or forget(): only calls of this header, in this process, read from the
// stream socket, and into memory that can be written. The runtime may then receive more than it is
// asked for: neither a plain recv(2), poll(2), FIONREAD, nor a duplicate of the descriptor sees
// what it has taken, and a socket that is closed with bytes unread says FIN, not RST. From TCP a
// read() of less than 512 bytes takes up to that, for the reads after it: a header and a body then
// cost one system call, and so does each message of a size that is known. Where threads wait
// through io_uring (see runtime_options::socket_events) bytes are received before anybody reads,
// which saves that call, too; a reset may then be a read's error but EPIPE for a write, and a
// thread with a kernel thread of its own that reads the same socket may be told ETIMEDOUT for bytes
// that are on the way to it. 0, or -1: EBADF, ENOTSOCK, ENOMEM.
int receive_ahead(int socket);

// Ends the waits of other threads with EBADF, then closes; never fails with EINTR. Frees the blocks
// of a file that has no name on the blocking-call pool; else blocks the worker where close(2) does.
int close(int descriptor);

// The runtime forgets what it knows of the number, as before close(), but leaves it open.
void forget(int descriptor);

}  // namespace treadle::io
