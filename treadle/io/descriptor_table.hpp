// From a descriptor's number to what is known about it; one table for the process, as the numbers
// are.
//
// Memory is mapped in chunks when a number is first used, touched page by page, and never
// unmapped: a pointer into it stays good. Any thread, no lock on the way. A descriptor costs 64
// bytes.
// Rejected: one reservation for all numbers (counts against limits on address space); a hash map
// (locks, rehashing); a table for each runtime (descriptors are passed between runtimes, and a
// close must reach the waiters of all).
#pragma once

#include <cstddef>

#include "treadle/base/atomic.hpp"
#include "treadle/io/descriptor.hpp"

namespace treadle::io {

class descriptor_table {
 public:
  // Guess: 16 times the kernel's default for the largest number (fs.nr_open).
  static constexpr int descriptors_max = 1 << 24;
  // Guess: 64 KiB at a time.
  static constexpr int chunk_descriptors = 1 << 10;
  static constexpr int chunks = descriptors_max / chunk_descriptors;

  static descriptor_table& instance() noexcept;

  // Null, and the errno, for a number that no descriptor can have (EBADF) and without memory.
  descriptor* find(int number, int& error) noexcept {
    if (number >= 0 && number < descriptors_max) [[likely]] {
      // acquire: pairs with add_chunk()
      descriptor* chunk = chunks_[number / chunk_descriptors].load(base::acquire);
      if (chunk != nullptr) [[likely]]
        return chunk + number % chunk_descriptors;
    }
    return add_chunk(number, error);
  }

  // Calls f(descriptor&) for every one that may have been used.
  template <class F>
  void for_each(F f) noexcept {
    for (base::atomic<descriptor*>& slot : chunks_) {
      descriptor* chunk = slot.load(base::acquire);  // pairs with add_chunk()
      if (chunk == nullptr) continue;
      for (int i = 0; i < chunk_descriptors; ++i) f(chunk[i]);
    }
  }

 private:
  descriptor* add_chunk(int number, int& error) noexcept;

  base::atomic<descriptor*> chunks_[chunks] = {};
};

}  // namespace treadle::io
