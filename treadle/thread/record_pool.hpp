// Where thread records come from and go back to.
//
// Records are carved from slabs that are never unmapped. Each worker keeps a small LIFO of free
// records (no atomics); the rest is behind one lock, moved in batches. Nobody can get at what
// others keep, so a slab is mapped before it is needed: when memory is short there is one left,
// and that is as much as 32 workers keep.
// A record keeps its token over reuse: a late unpark of the previous thread is then a spurious
// wake-up of the next.
#pragma once

#include <cstdint>

#include "treadle/base/chain.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::core {

// Free records and numbers of one worker. Owner only.
struct record_cache {
  base::chain<thread> free;
  std::uint32_t next_id = 0;
  std::uint32_t id_limit = 0;
};

class record_pool {
 public:
  // A record in state fresh with a new id, or null when there is no memory.
  [[nodiscard]] static thread* acquire(record_cache& cache) noexcept {
    thread* record = cache.free.pop_front();
    if (record == nullptr || cache.next_id == cache.id_limit) [[unlikely]] {
      if (record != nullptr) cache.free.push_front(record);
      if (!refill(cache)) return nullptr;
      record = cache.free.pop_front();
    }
    record->id = cache.next_id++;
    record->level.store(thread_level{}, base::relaxed);  // relaxed: nobody else knows it yet
    transition(*record, thread_state::free, thread_state::fresh, wait_reason::none);
    return record;
  }

  // The same from the cache only, without a call; else null.
  [[nodiscard, gnu::always_inline]] static thread* acquire_at_once(record_cache& cache) noexcept {
    if (cache.free.empty() || cache.next_id == cache.id_limit) [[unlikely]]
      return nullptr;
    thread* record = cache.free.pop_front();
    record->id = cache.next_id++;
    record->level.store(thread_level{}, base::relaxed);  // relaxed: nobody else knows it yet
    transition(*record, thread_state::free, thread_state::fresh, wait_reason::none);
    return record;
  }

  // Takes back a finished or never started record.
  [[gnu::always_inline]] static void release(record_cache& cache, thread& record) noexcept {
#if defined(TREADLE_ASSERTIONS)
    const thread_state was = record.now.load(base::relaxed).state;
#else
    const thread_state was = thread_state::finished;  // it would be looked at by assertions only
#endif
    transition(record, was, thread_state::free, wait_reason::none);
    cache.free.push_front(&record);
    if (cache.free.size() > cached_max) [[unlikely]]
      spill(cache);
  }

  // Gives all of a dying worker's records back.
  static void drain(record_cache& cache) noexcept;

 private:
  // Guess: a refill every 64 threads makes the lock invisible; 2 x 64 records are 8 KiB.
  static constexpr std::size_t batch = 64;
  static constexpr std::size_t cached_max = 2 * batch;

  static bool refill(record_cache& cache) noexcept;
  static void spill(record_cache& cache) noexcept;
};

}  // namespace treadle::core
