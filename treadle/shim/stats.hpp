// What `treadle run --stats FILE` writes at the end: one "name value" a line.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::shim {

struct call_statistics {
  // relaxed everywhere: numbers for a report
  base::atomic<std::uint64_t> calls{0};    // through the door
  base::atomic<std::uint64_t> avoided{0};  // of these, without the kernel
};
call_statistics& statistics() noexcept;

// To the file that was asked for, if any. With system calls only.
void write_stats() noexcept;

}  // namespace treadle::shim
