#include "treadle/thread/block_pool.hpp"

#include <sys/mman.h>

#include <new>

#include "treadle/base/spin_lock.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::core {
namespace {

// Guess: one system call for some thousand blocks; pages that nobody touches cost nothing.
constexpr std::size_t slab_bytes = 1024 * 1024;

struct shared_blocks {
  base::spin_lock lock;
  // Guarded by lock.
  block_cache::list lists[block_cache::sizes];
  std::byte* slab = nullptr;
  std::size_t slab_left = 0;
};

constinit shared_blocks pool;

void push(block_cache::list& to, void* memory) noexcept {
  auto* const block = static_cast<block_cache::block*>(memory);
  block->next = to.first;
  to.first = block;
  ++to.count;
}

void* pop(block_cache::list& from) noexcept {
  block_cache::block* const found = from.first;
  if (found == nullptr) return nullptr;
  from.first = found->next;
  --from.count;
  return found;
}

// With the lock held: memory that was never used, or null.
[[maybe_unused]] void* carve(std::size_t bytes) noexcept {
  if (pool.slab_left < bytes) {
    const base::mapping_result mapped = base::map_memory(
        nullptr, slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (mapped.error != 0) return nullptr;
    pool.slab = static_cast<std::byte*>(mapped.address);
    pool.slab_left = slab_bytes;
  }
  void* const made = pool.slab;
  pool.slab += bytes;
  pool.slab_left -= bytes;
  return made;
}

}  // namespace

#if defined(TREADLE_ASAN)
void* block_pool::allocate_slowly(block_cache&, std::size_t bytes) noexcept {
  return ::operator new(bytes, std::nothrow);
}

void block_pool::free_slowly(block_cache&, void* memory, std::size_t) noexcept {
  ::operator delete(memory);
}
#else
void* block_pool::allocate_slowly(block_cache& cache, std::size_t bytes) noexcept {
  const std::size_t number = list_of(bytes);
  block_cache::list& own = cache.lists[number];
  const base::guard hold(pool.lock);
  while (own.count < batch) {
    void* memory = pop(pool.lists[number]);
    if (memory == nullptr) memory = carve((number + 1) * block_cache::step);
    if (memory == nullptr) break;
    push(own, memory);
  }
  return pop(own);
}

void block_pool::free_slowly(block_cache& cache, void* memory, std::size_t bytes) noexcept {
  const std::size_t number = list_of(bytes);
  block_cache::list& own = cache.lists[number];
  const base::guard hold(pool.lock);
  while (own.count > cached_max - batch) push(pool.lists[number], pop(own));
  push(own, memory);
}
#endif

void block_pool::drain(block_cache& cache) noexcept {
  const base::guard hold(pool.lock);
  for (std::size_t number = 0; number < block_cache::sizes; ++number) {
    while (void* const memory = pop(cache.lists[number])) push(pool.lists[number], memory);
  }
}

}  // namespace treadle::core
