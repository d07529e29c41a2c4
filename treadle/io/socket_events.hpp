// Through what threads wait for sockets, pipes and the like: an option of the runtime (TREADLE_IO).
#pragma once

namespace treadle::io {

enum class socket_events {
  epoll,
  uring,  // io_uring; epoll, and one line on stderr, where the kernel refuses it
};

}  // namespace treadle::io
