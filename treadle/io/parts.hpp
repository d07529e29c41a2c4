// The lists of parts that calls read into and write from.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <climits>
#include <cstddef>

namespace treadle::io {

// What readv(2) and its relatives say EINVAL to. The kernel is not always asked in these words:
// elsewhere it would take a length that is no ssize_t for the most that it moves at a time.
inline bool are_too_much(const iovec* parts, int count) noexcept {
  if (count < 0 || count > IOV_MAX) return true;
  constexpr std::size_t bytes_max = SSIZE_MAX;
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i) {
    if (parts[i].iov_len > bytes_max - sum) return true;
    sum += parts[i].iov_len;
  }
  return false;
}

}  // namespace treadle::io
