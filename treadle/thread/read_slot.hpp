// Where a kernel thread notes that the thread on it is inside a read section (read_book.hpp has the
// rules). One word, so that the fast path of a section is two plain stores.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::core {

struct read_slot {
  // A kernel thread that the runtime does not know (yet, or any more).
  static constexpr std::uint64_t stranger = ~std::uint64_t{0};

  // Written by its kernel thread, read by whoever waits for readers.
  base::atomic<std::uint64_t> word{stranger};
  // Guarded by the registry's lock (reading.cpp).
  read_slot* next = nullptr;
  read_slot* previous = nullptr;
};

}  // namespace treadle::core
