// Small blocks of memory for what belongs to no stack: the frames of tasks.
//
// Each worker keeps LIFO lists of free blocks by size (no atomics); the rest is behind one lock,
// moved in batches. A block may be freed on another worker than the one it came from. Slabs are
// never unmapped: what a burst has used stays for the next one.
// With AddressSanitizer every block comes from the C++ heap, so that it sees a use after free.
// Rejected: malloc (20 ns a pair, and its lock may be held by a thread that is not running); lists
// by powers of two (a sleeping task of 144 bytes would cost 256).
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::core {

// Free blocks of one worker. Owner only.
struct block_cache {
  // Guess: no task that is one of a million has a larger frame than this.
  static constexpr std::size_t bytes_max = 512;
  static constexpr std::size_t step = 16;  // sourced: the alignment that operator new promises
  static constexpr std::size_t sizes = bytes_max / step;

  struct block {
    block* next;
  };
  struct list {
    block* first = nullptr;
    std::size_t count = 0;
  };
  list lists[sizes];
};

class block_pool {
 public:
  // Memory for `bytes`, from 1 to block_cache::bytes_max; null when there is none.
  [[nodiscard]] static void* allocate(block_cache& cache, std::size_t bytes) noexcept {
#if !defined(TREADLE_ASAN)
    block_cache::list& own = cache.lists[list_of(bytes)];
    block_cache::block* const found = own.first;
    if (found != nullptr) [[likely]] {
      own.first = found->next;
      --own.count;
      return found;
    }
#endif
    return allocate_slowly(cache, bytes);
  }

  // `bytes` as they were asked for.
  static void free(block_cache& cache, void* memory, std::size_t bytes) noexcept {
#if !defined(TREADLE_ASAN)
    block_cache::list& own = cache.lists[list_of(bytes)];
    if (own.count < cached_max) [[likely]] {
      auto* const block = static_cast<block_cache::block*>(memory);
      block->next = own.first;
      own.first = block;
      ++own.count;
      return;
    }
#endif
    free_slowly(cache, memory, bytes);
  }

  // Gives all of a dying worker's blocks back.
  static void drain(block_cache& cache) noexcept;

 private:
  // Guess, as in record_pool: the lock is taken once for so many blocks.
  static constexpr std::size_t batch = 64;
  static constexpr std::size_t cached_max = 4 * batch;

  static std::size_t list_of(std::size_t bytes) noexcept { return (bytes - 1) / block_cache::step; }
  static void* allocate_slowly(block_cache& cache, std::size_t bytes) noexcept;
  static void free_slowly(block_cache& cache, void* memory, std::size_t bytes) noexcept;
};

}  // namespace treadle::core
