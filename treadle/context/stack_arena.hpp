// Stacks of one size: reserved, guarded, handed out and taken back by the million.
//
// An arena is a row of equal slots, guard at the low end, stack above it. Slots live in chunks,
// each as large as all before it, so an address is found by looking at a few chunks and a slot
// needs no record of its own: a parked thread costs the pages it touches plus 8 bytes of page
// table per 4 KiB of slot. Memory is demand-paged and never copied.
//
// Invariants: slots with a guard >= promised + slack + those being trimmed; whoever holds a
// promise, or a share of the slack, can take() a slot and that cannot fail. A slot is in exactly
// one place: with a caller, warm, cold, being trimmed, or never taken yet.
//
// Who may call: promise() and give_up() where threads are made and end, take() and put() by
// processors' caches, all from any kernel thread; find() and for_each_touched_slot() also from a
// signal handler, as they take no lock.
//
// A burst's stacks are trimmed as its threads end, or, where somebody keeps them, after a second in
// which nobody has needed them: 100,000 pages that are given back and filled again cost 0.2 s.
//
// Rejected: one mapping for each stack (vm.max_map_count ends it at 32,000); mprotect guards (the
// same end; they are the fallback); a free list inside the free stacks (trimming needs the oldest
// ones, and cold ones would be touched); slots of a power of two (see slot_bytes_for()).
// Source: madvise(2) MADV_GUARD_INSTALL, Linux 6.13.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/context/guard_pages.hpp"
#include "treadle/context/stack_ledger.hpp"

namespace treadle::context {

class stack_arena;

// A value: whoever holds it holds the slot.
struct stack {
  std::byte* bottom;  // lowest usable address, just above the guard
  std::byte* top;     // one past the highest, 64-aligned, staggered
  std::uint32_t slot;
  stack_arena* arena;
};

struct stack_counters {
  std::uint64_t mapped;          // slots that have memory and a guard
  std::uint64_t promised;        // of them spoken for by promise()
  std::uint64_t taken;           // with callers: threads and processors' caches
  std::uint64_t warm;            // free, still in memory
  std::uint64_t cold;            // free, their memory given back to the kernel
  std::uint64_t trimmed;         // how often a slot went from warm to cold
  std::uint64_t reserved_bytes;  // of address space
};

class stack_arena {
 public:
  // Maps nothing yet. Sizes are rounded up to pages; a guard of 0 bytes means no guard.
  stack_arena(std::size_t stack_bytes, std::size_t guard_bytes) noexcept;
  ~stack_arena();  // unmaps; every stack must be back, or never be used again
  stack_arena(const stack_arena&) = delete;
  stack_arena& operator=(const stack_arena&) = delete;

  // Promises `count` more stacks: maps and guards what is missing. 0, or the errno of the system
  // call that failed, and then nothing is promised (what was mapped stays for the next caller).
  // Without missing slots it is one compare-and-swap and no lock.
  [[nodiscard]] int promise(std::size_t count) noexcept;
  void give_up(std::size_t count) noexcept;

  // Takes up to `count` slots, the most recently used ones first, and returns how many: all of
  // them as long as callers together hold no more than is promised plus the slack. Of several that
  // are not in memory the top pages are brought in at once: two thirds of the cost of the faults.
  [[nodiscard]] std::size_t take(stack* out, std::size_t count) noexcept;
  void put(const stack* in, std::size_t count) noexcept;

  // The number of slots that may lie idle in callers' caches beyond the promised ones. Callers
  // share the arena, so each adds its own part. Maps nothing before the first promise. On error
  // (an errno) the slack is unchanged.
  [[nodiscard]] int add_slack(std::size_t count) noexcept;
  void drop_slack(std::size_t count) noexcept;

  // Above this number of warm slots, put() trims the oldest in batches, or whoever keeps the
  // surplus (see stack_surplus.hpp) does when nobody has needed it for a while.
  void set_warm_max(std::uint32_t count) noexcept;
  // By the one who keeps: trims a part of what has lain idle above that number for keep_span or
  // longer. When there will be more to do; `never` when there is no surplus.
  std::int64_t trim_unused(std::int64_t now) noexcept;
  void trim_surplus() noexcept;  // all of it, now

  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  // Guess: bursts of threads that come each second find their stacks in memory.
  static constexpr std::int64_t keep_span = 1'000'000'000;

  // Which slot holds this address, its guard included. Lock-free.
  [[nodiscard]] bool find(const void* address, stack* out) const noexcept;
  [[nodiscard]] bool in_guard(const stack& of, const void* address) const noexcept;

  // Visits slots that were taken at least once, free ones included, until `visit` returns false
  // or `slots_max` were visited. What lies in them may change meanwhile. Lock-free.
  void for_each_touched_slot(bool (*visit)(const stack&, void*), void* argument,
                             std::uint32_t slots_max) noexcept;

  [[nodiscard]] std::size_t stack_bytes() const noexcept { return stack_bytes_; }
  [[nodiscard]] std::size_t guard_bytes() const noexcept { return guard_bytes_; }
  [[nodiscard]] std::size_t slot_bytes() const noexcept { return slot_bytes_; }
  [[nodiscard]] stack_counters counters() noexcept;

 private:
  // Sourced: one batch of guards, so no batch crosses the end of a chunk.
  static constexpr std::uint32_t first_chunk_slots = guard_batch;
  // Guess: 16 times the million that is the aim, and its lists are 64 MiB of address space.
  static constexpr std::uint32_t slots_max = std::uint32_t{1} << 24;
  static constexpr std::uint32_t chunks_max = 19;  // 64 << 18 == slots_max
  // Measured (Linux 6.18): trimming costs no less per slot in larger batches.
  static constexpr std::uint32_t trim_batch_slots = 256;
  // Guess: half a millisecond of the one who keeps, who has other things to look at.
  static constexpr std::uint32_t trim_rounds = 8;

  static std::size_t slot_bytes_for(std::size_t stack_bytes, std::size_t guard_bytes) noexcept;
  static std::uint32_t chunk_of(std::uint32_t slot) noexcept;
  static std::uint32_t chunk_begin(std::uint32_t chunk) noexcept;
  static std::uint32_t chunk_slots(std::uint32_t chunk) noexcept;

  std::byte* slot_begin(std::uint32_t slot) const noexcept;
  stack stack_in(std::uint32_t slot) const noexcept;
  int grow(std::int64_t more) noexcept;
  int map_chunk(std::uint32_t chunk) noexcept;
  void trim(std::size_t rounds_max) noexcept;
  bool trim_once() noexcept;
  void give_back(const std::uint32_t* slots, std::uint32_t count) noexcept;

  // Fixed after construction.
  const std::size_t stack_bytes_;
  const std::size_t guard_bytes_;
  const std::size_t slot_bytes_;

  alignas(base::false_sharing_bytes) stack_ledger ledger_;

  // Written under grow_lock_, read by anybody.
  alignas(base::false_sharing_bytes) base::spin_lock grow_lock_;
  base::atomic<std::uint32_t> guarded_{0};
  base::atomic<std::byte*> chunks_[chunks_max] = {};

  // Guarded by list_lock_. lists_ is set under grow_lock_ before the first slot can be taken: warm
  // slots grow from its start, oldest first, cold ones from its end, the trimmer's lie behind it.
  alignas(base::false_sharing_bytes) base::spin_lock list_lock_;
  bool trimming_ = false;  // one trimmer at a time
  std::uint32_t warm_ = 0;
  std::uint32_t cold_ = 0;
  std::uint32_t warm_max_;
  std::uint64_t trimmed_ = 0;
  // For who keeps: the fewest warm ones in the running span, its end, and what is to be trimmed of
  // what the last one left unused.
  std::uint32_t unused_ = 0;
  std::int64_t span_ends_ = 0;
  std::uint32_t surplus_ = 0;
  std::uint32_t* lists_ = nullptr;
  // Written under list_lock_, read by anybody: slots below it were taken at least once.
  base::atomic<std::uint32_t> fresh_{0};
};

}  // namespace treadle::context
