// Calls on descriptors that may have to wait: tried without waiting first, and then the thread
// parks until the descriptor is ready, as in treadle/io.
//
// A descriptor that its owner has made non-blocking answers as the kernel does. Where the kernel
// cannot try (terminals), the descriptor is asked with poll(2) before.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

long serve_read(saved_call& call) noexcept;        // read, readv
long serve_write(saved_call& call) noexcept;       // write, writev
long serve_receive(saved_call& call) noexcept;     // recvfrom, recvmsg
long serve_send(saved_call& call) noexcept;        // sendto, sendmsg
long serve_accept(saved_call& call) noexcept;      // accept, accept4
long serve_poll(saved_call& call) noexcept;        // poll, ppoll
long serve_select(saved_call& call) noexcept;      // select, pselect6
long serve_epoll_wait(saved_call& call) noexcept;  // epoll_wait, epoll_pwait, epoll_pwait2
long serve_ring(saved_call& call) noexcept;        // io_uring_enter
// close, dup2, dup3, close_range: a number means another file from now on.
long serve_close(saved_call& call) noexcept;

}  // namespace treadle::shim
