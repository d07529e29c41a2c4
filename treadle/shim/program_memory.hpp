// Reading memory that the program has named, when it may have named what is not there.
#pragma once

#include <sys/syscall.h>
#include <sys/uio.h>

#include "treadle/shim/kernel_call.hpp"

namespace treadle::shim {

// How many bytes could be read; fewer where the rest is not there.
inline std::size_t read_some_safely(void* to, const void* from, std::size_t bytes) noexcept {
  const iovec here{to, bytes};
  const iovec there{const_cast<void*>(from), bytes};
  const long own = kernel_call(SYS_getpid);
  const long got = kernel_call(SYS_process_vm_readv, own, &here, 1, &there, 1, 0);
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

inline bool read_safely(void* to, const void* from, std::size_t bytes) noexcept {
  return read_some_safely(to, from, bytes) == bytes;
}

}  // namespace treadle::shim
