// One attempt at each call, which does not block the kernel thread: a result, or -errno with
// -EAGAIN for "not now". Also learns what a descriptor is, at its first use.
//
// Descriptors are left as they are: O_NONBLOCK belongs to the open file, which other processes may
// share (a terminal!). Sockets have MSG_DONTWAIT; pipes and some others RWF_NOWAIT. For the rest
// see reluctant_read.hpp and reluctant_write.hpp. Of pipes, where older kernels refuse RWF_NOWAIT,
// poll(2) is asked first: a read is then made, and a rival could still make it block.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>

#include "treadle/io/waiting.hpp"

namespace treadle::io {

// Of a regular file, which is always ready, the whole call: it parks within the limit (files.hpp).
// So may a call on a terminal or the like.
[[nodiscard]] ssize_t read_once(const call_target& target, std::uint32_t seen, const iovec* parts,
                                int count, const base::wait_limit& limit) noexcept;
[[nodiscard]] ssize_t write_once(const call_target& target, const iovec* parts, int count,
                                 const base::wait_limit& limit) noexcept;
[[nodiscard]] ssize_t receive_once(const call_target& target, std::uint32_t seen, void* buffer,
                                   std::size_t bytes, int flags) noexcept;

// Asks poll(2), without waiting.
[[nodiscard]] bool is_ready(int number, short events) noexcept;

// What was received ahead has something for a reader: it counts for poll(2), which cannot see it.
[[nodiscard]] bool has_received(const descriptor& which) noexcept;

// recv(2) and send(2) with results as above, but no cancellation points of libc's: those cost two
// read-modify-writes a call (a sanitizer wants to see libc's).
[[nodiscard]] ssize_t kernel_recv(int number, void* buffer, std::size_t bytes, int flags) noexcept;
[[nodiscard]] ssize_t kernel_send(int number, const void* buffer, std::size_t bytes,
                                  int flags) noexcept;

// For calls that have no flag of their own: sets O_NONBLOCK, once in a descriptor's lifetime. 0 or
// an errno.
[[nodiscard]] int make_never_block(const call_target& target) noexcept;

}  // namespace treadle::io
