// The size that keeps two processors' data apart.
//
// std::hardware_destructive_interference_size is not used: g++ warns that its value depends on
// tuning flags and may change the ABI of whoever includes this header.
#pragma once

#include <cstddef>

namespace treadle::base {

// Sourced: the line of x86-64 and most AArch64 CPUs.
inline constexpr std::size_t cache_line_bytes = 64;

// Sourced: Intel's adjacent-line prefetcher fetches lines in pairs, so hot words of different
// processors are kept two lines apart.
inline constexpr std::size_t false_sharing_bytes = 128;

}  // namespace treadle::base
