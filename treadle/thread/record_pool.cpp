#include "treadle/thread/record_pool.hpp"

#include <sys/mman.h>

#include <new>

#include "treadle/base/system_call.hpp"

namespace treadle::core {
namespace {

// Guess: 4096 records a slab; one system call per 4096 threads, untouched pages cost nothing.
constexpr std::size_t slab_bytes = 4096 * sizeof(thread);

struct shared_pool {
  base::spin_lock lock;
  // Guarded by lock.
  base::chain<thread> free;
  std::byte* slab = nullptr;
  std::size_t slab_left = 0;
  std::uint32_t next_id = 1;
};

constinit shared_pool pool;

// The first records need no system call that could fail, so main can always be adopted.
// Guess: four batches, 16 KiB of zeroes.
constexpr std::size_t first_slab_bytes = 256 * sizeof(thread);
alignas(thread) constinit std::byte first_slab[first_slab_bytes] = {};
constinit bool first_slab_used = false;

// With the lock held: a never used record, or null.
thread* carve() noexcept {
  if (pool.slab_left == 0 && !first_slab_used) {
    first_slab_used = true;
    pool.slab = first_slab;
    pool.slab_left = first_slab_bytes;
  }
  if (pool.slab_left == 0) {
    const base::mapping_result mapped = base::map_memory(
        nullptr, slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (mapped.error != 0) return nullptr;
    pool.slab = static_cast<std::byte*>(mapped.address);
    pool.slab_left = slab_bytes;
  }
  thread* record = ::new (pool.slab) thread;
  pool.slab += sizeof(thread);
  pool.slab_left -= sizeof(thread);
  return record;
}

}  // namespace

bool record_pool::refill(record_cache& cache) noexcept {
  const base::guard hold(pool.lock);
  if (cache.next_id == cache.id_limit) {
    cache.next_id = pool.next_id;
    cache.id_limit = pool.next_id += batch;
  }
  while (cache.free.size() < batch) {
    thread* record = pool.free.pop_front();
    if (record == nullptr) record = carve();
    if (record == nullptr) break;
    cache.free.push_back(record);
  }
  return !cache.free.empty();
}

void record_pool::spill(record_cache& cache) noexcept {
  const base::guard hold(pool.lock);
  while (cache.free.size() > batch) pool.free.push_front(cache.free.pop_front());
}

void record_pool::drain(record_cache& cache) noexcept {
  const base::guard hold(pool.lock);
  pool.free.append(cache.free);
}

}  // namespace treadle::core
