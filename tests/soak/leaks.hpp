// What the process holds when nothing runs in it: kernel threads, descriptors, memory. A soak's
// rounds must come back to the same.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace soak {

struct holdings {
  std::size_t kernel_threads = 0;
  std::size_t descriptors = 0;
  std::size_t heap_bytes = 0;  // in use, as malloc counts; 0 where a sanitizer has its own
  std::size_t resident_bytes = 0;
  std::size_t mappings = 0;
};

holdings read_holdings();
std::string describe(const holdings& what);

// What grew from round to round, in words; empty when nothing did. The rounds' first third warms
// caches up; of the others the earlier half is compared with the later, each by its least.
std::string what_grew(const std::vector<holdings>& rounds);

// What is still there of all that a soak made, once its runtime has closed, in words; empty when
// nothing is, but for what the process keeps. Waits some seconds for kernel threads that are on
// their way out.
std::string what_is_left(const holdings& before);

}  // namespace soak
