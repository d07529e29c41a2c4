// One call on a file as data, so that whoever is to make it can: this kernel thread, io_uring, or
// the pool.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "treadle/io/park.hpp"

namespace treadle::io {

struct file_request {
  enum class kind { read, write, fsync, fdatasync, open };

  kind what;
  int fd = -1;
  // read, write. At the file's own position when the offset is -1.
  const iovec* parts = nullptr;
  int count = 0;
  off_t offset = -1;
  // open
  const char* path = nullptr;
  int flags = 0;
  mode_t mode = 0;
};

// The plain call, which may block the kernel thread. Result and errno as of the call.
ssize_t make_call(const file_request& request) noexcept;

// Parks the caller while the pool makes the call. An open of what may wait for ever is made by a
// kernel thread apart, and interrupted at a limit: interruptible.hpp.
ssize_t make_call_on_pool(const file_request& request, const wait_limit& limit) noexcept;

// Parks the caller while io_uring makes the call, or else the pool.
ssize_t make_call_elsewhere(const file_request& request, const wait_limit& limit) noexcept;

// The sum of the parts, or what is left of them after the first `done` bytes.
std::size_t bytes_in(const iovec* parts, int count) noexcept;

}  // namespace treadle::io
