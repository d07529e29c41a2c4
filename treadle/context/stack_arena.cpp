#include "treadle/context/stack_arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "treadle/base/check.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/context/stack_surplus.hpp"

#if defined(TREADLE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace treadle::context {
namespace {

// Sourced: what one page of page table covers, so no arena shares one with other memory.
constexpr std::size_t chunk_alignment = std::size_t{2} << 20;

// Measured (touching the tops of 64 stacks in turn, Xeon): 5.0 ns with 16 steps, 8.1 without; 32
// gain nothing more and take 2 KiB from the one page that a parked thread is to touch.
constexpr std::uint32_t stagger_steps = 16;

// Guess: enough to spread the cost of the call; 1 KiB on the caller's stack.
constexpr std::uint32_t trim_ranges_max = 64;

// Guess: what free stacks may keep resident at worst, if every one was used to its depth.
constexpr std::size_t warm_bytes_max = std::size_t{2} << 30;
// Guess: 128 MiB if one page of each was touched, and longer bursts of threads than most programs
// have. A warm slot saves a page fault (0.5-4 us) and the trim (0.3 us).
constexpr std::uint32_t warm_slots_max = 32768;
constexpr std::uint32_t warm_slots_min = 1024;

// Measured: 32 at once are as good as 256.
constexpr std::size_t populate_ranges_max = 32;

// Sourced: MADV_POPULATE_WRITE in linux/mman.h of 5.14; older headers lack it.
constexpr int advice_populate_write = 23;
base::atomic<bool> populate_refused{false};

std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

// Brings the top page of each stack in. An error is not handled: its owner's first touch will do
// it, or say why not.
void populate_tops(const stack* stacks, std::size_t count) noexcept {
  const std::size_t page = base::page_bytes();
  iovec ranges[populate_ranges_max] = {};
  while (count > 0 && !populate_refused.load(base::relaxed)) {  // relaxed: a switch of its own
    const std::size_t batch = std::min(count, populate_ranges_max);
    for (std::size_t i = 0; i < batch; ++i) {
      const auto last = reinterpret_cast<std::uintptr_t>(stacks[i].top - 1);
      ranges[i] = {stacks[i].top - 1 - last % page, page};
    }
    const auto result = base::advise_batch(ranges, batch, advice_populate_write);
    if (result.error == EINVAL) populate_refused.store(true, base::relaxed);  // relaxed: as above
    if (result.error != 0) return;
    stacks += batch;
    count -= batch;
  }
}

// An odd number of pages: stacks at a power of two share the sets of the first-level TLB, which
// costs 7 against 3 ns for touching the tops of 8 stacks in turn (measured, Xeon).
std::size_t stack_arena::slot_bytes_for(std::size_t stack_bytes, std::size_t guard_bytes) noexcept {
  const std::size_t page = base::page_bytes();
  const std::size_t pages = (stack_bytes + guard_bytes) / page;
  return (pages | 1) * page;
}

std::uint32_t stack_arena::chunk_of(std::uint32_t slot) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(slot / first_chunk_slots));
}
std::uint32_t stack_arena::chunk_begin(std::uint32_t chunk) noexcept {
  return chunk == 0 ? 0 : first_chunk_slots << (chunk - 1);
}
std::uint32_t stack_arena::chunk_slots(std::uint32_t chunk) noexcept {
  return chunk == 0 ? first_chunk_slots : chunk_begin(chunk);
}

stack_arena::stack_arena(std::size_t stack_bytes, std::size_t guard_bytes) noexcept
    : stack_bytes_(round_up(std::max<std::size_t>(stack_bytes, 1), base::page_bytes())),
      guard_bytes_(round_up(guard_bytes, base::page_bytes())),
      slot_bytes_(slot_bytes_for(stack_bytes_, guard_bytes_)),
      warm_max_(static_cast<std::uint32_t>(std::clamp<std::size_t>(
          warm_bytes_max / stack_bytes_, warm_slots_min, warm_slots_max))) {}

stack_arena::~stack_arena() {
  for (std::uint32_t chunk = 0; chunk < chunks_max; ++chunk) {
    // relaxed: nobody else may use the arena any more.
    std::byte* const begin = chunks_[chunk].load(base::relaxed);
    if (begin != nullptr) {
      base::unmap_memory(begin, round_up(chunk_slots(chunk) * slot_bytes_, chunk_alignment));
    }
  }
  if (lists_ != nullptr) {
    base::unmap_memory(lists_, (slots_max + trim_batch_slots) * sizeof(std::uint32_t));
  }
}

std::byte* stack_arena::slot_begin(std::uint32_t slot) const noexcept {
  const std::uint32_t chunk = chunk_of(slot);
  // acquire: pairs with map_chunk(); in find() nothing else orders the two.
  return chunks_[chunk].load(base::acquire) +
         static_cast<std::size_t>(slot - chunk_begin(chunk)) * slot_bytes_;
}

stack stack_arena::stack_in(std::uint32_t slot) const noexcept {
  std::byte* const begin = slot_begin(slot);
  // The slot begins with its guard; what the odd page adds belongs to the stack.
  return {begin + guard_bytes_,
          begin + slot_bytes_ - base::cache_line_bytes * (slot % stagger_steps), slot,
          const_cast<stack_arena*>(this)};
}

// ---- promises ----

int stack_arena::promise(std::size_t count) noexcept {
  if (count > slots_max) return ENOMEM;
  if (ledger_.try_promise(count)) return 0;
  const base::guard hold(grow_lock_);
  // Others promise and trim meanwhile; each turn adds what was missing when it began.
  while (!ledger_.try_promise(count)) {
    if (const int error = grow(ledger_.missing(count))) return error;
  }
  return 0;
}

void stack_arena::give_up(std::size_t count) noexcept {
  TREADLE_CHECK(ledger_.give_up(count) >= static_cast<std::int64_t>(count),
                "a stack arena was given up more stacks than it had promised");
}

int stack_arena::add_slack(std::size_t count) noexcept {
  if (count > slots_max) return ENOMEM;
  const base::guard hold(grow_lock_);
  if (ledger_.take_room(count) == 0) return 0;
  for (std::int64_t more; (more = ledger_.missing(0)) > 0;) {
    if (const int error = grow(more)) {
      ledger_.add_room(count);
      return error;
    }
  }
  return 0;
}

void stack_arena::drop_slack(std::size_t count) noexcept { ledger_.add_room(count); }

// ---- growing, under grow_lock_ ----

int stack_arena::grow(std::int64_t more) noexcept {
  std::uint32_t guarded = guarded_.load(base::relaxed);  // relaxed: written under grow_lock_ only
  if (more > static_cast<std::int64_t>(slots_max - guarded)) return ENOMEM;
  const std::uint32_t needed =
      guarded + static_cast<std::uint32_t>(std::max<std::int64_t>(more, 0));
  while (guarded < needed) {
    const std::uint32_t chunk = chunk_of(guarded);
    if (chunks_[chunk].load(base::relaxed) == nullptr) {  // relaxed: written under grow_lock_ only
      if (const int error = map_chunk(chunk)) return error;
    }
    const std::uint32_t end = chunk_begin(chunk) + chunk_slots(chunk);
    guard_result batch{std::min(guard_batch, end - guarded), 0};
    if (guard_bytes_ > 0) {
      batch = install_guards(slot_begin(guarded), slot_bytes_, guard_bytes_, batch.done);
    }
    guarded += batch.done;
    guarded_.store(guarded, base::release);  // pairs with take() and find(), publishes the chunk
    ledger_.add_room(batch.done);
    if (batch.error != 0) return guarded >= needed ? 0 : batch.error;
  }
  return 0;
}

int stack_arena::map_chunk(std::uint32_t chunk) noexcept {
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  if (lists_ == nullptr) {
    const auto lists =
        base::map_memory(nullptr, (slots_max + trim_batch_slots) * sizeof(std::uint32_t),
                         PROT_READ | PROT_WRITE, flags);
    if (lists.error != 0) return lists.error;
    lists_ = static_cast<std::uint32_t*>(lists.address);
  }
  const std::size_t bytes = round_up(chunk_slots(chunk) * slot_bytes_, chunk_alignment);
  const auto mapped =
      base::map_memory(nullptr, bytes + chunk_alignment, PROT_READ | PROT_WRITE, flags);
  if (mapped.error != 0) return mapped.error;
  auto* const begin = static_cast<std::byte*>(mapped.address);
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t before = round_up(address, chunk_alignment) - address;
  if (before > 0) base::unmap_memory(begin, before);
  base::unmap_memory(begin + before + bytes, chunk_alignment - before);
  // Only advice: a kernel without huge pages refuses it, and guards keep most of them away.
  (void)base::advise_memory(begin + before, bytes, MADV_NOHUGEPAGE);
  chunks_[chunk].store(begin + before, base::release);  // pairs with slot_begin()
  return 0;
}

// ---- taking and putting ----

std::size_t stack_arena::take(stack* out, std::size_t count) noexcept {
  std::size_t taken = 0;
  std::size_t warm = 0;
  {
    const base::guard hold(list_lock_);
    while (taken < count && warm_ > 0) out[taken++] = stack_in(lists_[--warm_]);
    warm = taken;
    unused_ = std::min(unused_, warm_);
    while (taken < count && cold_ > 0) out[taken++] = stack_in(lists_[slots_max - cold_--]);
    // acquire: pairs with grow(), publishes the chunk of the slots below it.
    const std::uint32_t guarded = guarded_.load(base::acquire);
    std::uint32_t fresh = fresh_.load(base::relaxed);  // relaxed: written under list_lock_ only
    while (taken < count && fresh < guarded) out[taken++] = stack_in(fresh++);
    fresh_.store(fresh, base::release);  // pairs with for_each_touched_slot()
  }
  // For a single one it would be a system call more than the fault.
  if (taken - warm > 1) populate_tops(out + warm, taken - warm);
#if defined(TREADLE_ASAN)
  // The last owner may have ended deep in frames whose redzones nobody cleared.
  for (std::size_t i = 0; i < taken; ++i) {
    ASAN_UNPOISON_MEMORY_REGION(out[i].bottom,
                                static_cast<std::size_t>(slot_bytes_ - guard_bytes_));
  }
#endif
  return taken;
}

void stack_arena::put(const stack* in, std::size_t count) noexcept {
  bool trims = false;
  {
    const base::guard hold(list_lock_);
    for (std::size_t i = 0; i < count; ++i) {
      TREADLE_ASSERT(in[i].arena == this, "a stack was put back into another arena");
      lists_[warm_++] = in[i].slot;
    }
    trims = warm_ > warm_max_ && !keep_surplus() && !trimming_;
    if (trims) trimming_ = true;
  }
  if (trims) trim(count / trim_batch_slots + 1);
}

std::int64_t stack_arena::trim_unused(std::int64_t now) noexcept {
  std::uint32_t rounds = 0;
  {
    const base::guard hold(list_lock_);
    if (warm_ <= warm_max_) {
      surplus_ = 0;
      return never;
    }
    if (surplus_ == 0) {
      if (now < span_ends_) return span_ends_;
      // After a pause without looks this is the least since the last one, and so on the safe side.
      surplus_ = unused_ > warm_max_ ? unused_ - warm_max_ : 0;
      unused_ = warm_;
      span_ends_ = now + keep_span;
      if (surplus_ == 0) return span_ends_;
    }
    if (trimming_) return now;
    trimming_ = true;
    rounds = std::min(trim_rounds, (surplus_ + trim_batch_slots - 1) / trim_batch_slots);
  }
  trim(rounds);
  const base::guard hold(list_lock_);
  surplus_ -= std::min(surplus_, rounds * trim_batch_slots);
  if (warm_ <= warm_max_) return never;
  return surplus_ != 0 ? now : span_ends_;
}

void stack_arena::trim_surplus() noexcept {
  {
    const base::guard hold(list_lock_);
    if (trimming_ || warm_ <= warm_max_) return;
    trimming_ = true;
  }
  trim(slots_max);
}

void stack_arena::set_warm_max(std::uint32_t count) noexcept {
  const base::guard hold(list_lock_);
  warm_max_ = count;
}

// ---- trimming, by the one kernel thread that set trimming_ ----

void stack_arena::trim(std::size_t rounds_max) noexcept {
  while (rounds_max > 0 && trim_once()) --rounds_max;
  const base::guard hold(list_lock_);
  trimming_ = false;
}

bool stack_arena::trim_once() noexcept {
  // What is being trimmed cannot be taken, so it must not be promised meanwhile.
  if (!ledger_.take_spare_room(trim_batch_slots)) return false;
  std::uint32_t* const slots = lists_ + slots_max;
  std::uint32_t count = 0;
  {
    const base::guard hold(list_lock_);
    if (warm_ > warm_max_) {
      // Below the mark by up to a batch, so that the next put() does not trim again at once.
      count = std::min(trim_batch_slots, warm_ - warm_max_ / 2);
      std::memcpy(slots, lists_, count * sizeof(*lists_));
      std::memmove(lists_, lists_ + count, (warm_ - count) * sizeof(*lists_));
      warm_ -= count;
    }
  }
  if (count > 0) {
    std::sort(slots, slots + count);
    give_back(slots, count);
    const base::guard hold(list_lock_);
    for (std::uint32_t i = 0; i < count; ++i) lists_[slots_max - ++cold_] = slots[i];
    trimmed_ += count;
  }
  ledger_.add_room(trim_batch_slots);
  return count > 0;
}

// Returns the memory of sorted slots to the kernel, neighbours with one range. Guards survive it.
// An error is not handled: the slots then stay resident, and are usable all the same.
void stack_arena::give_back(const std::uint32_t* slots, std::uint32_t count) noexcept {
  iovec ranges[trim_ranges_max] = {};
  std::size_t used = 0;
  for (std::uint32_t i = 0; i < count;) {
    std::uint32_t run = 1;
    while (i + run < count && slots[i + run] == slots[i] + run &&
           chunk_of(slots[i + run]) == chunk_of(slots[i])) {
      ++run;
    }
    ranges[used++] = {slot_begin(slots[i]) + guard_bytes_, run * slot_bytes_ - guard_bytes_};
    i += run;
    if (used == trim_ranges_max || i == count) {
      (void)base::advise_batch(ranges, used, MADV_DONTNEED);
      used = 0;
    }
  }
}

// ---- looking, also from a signal handler ----

bool stack_arena::find(const void* address, stack* out) const noexcept {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (std::uint32_t chunk = 0; chunk < chunks_max; ++chunk) {
    // acquire: pairs with map_chunk().
    const auto begin = reinterpret_cast<std::uintptr_t>(chunks_[chunk].load(base::acquire));
    if (begin == 0) return false;
    if (wanted < begin || wanted >= begin + chunk_slots(chunk) * slot_bytes_) continue;
    const auto slot =
        chunk_begin(chunk) + static_cast<std::uint32_t>((wanted - begin) / slot_bytes_);
    if (slot >= guarded_.load(base::acquire)) return false;  // pairs with grow()
    *out = stack_in(slot);
    return true;
  }
  return false;
}

bool stack_arena::in_guard(const stack& of, const void* address) const noexcept {
  const auto* const wanted = static_cast<const std::byte*>(address);
  return wanted < of.bottom && wanted >= of.bottom - guard_bytes_;
}

void stack_arena::for_each_touched_slot(bool (*visit)(const stack&, void*), void* argument,
                                        std::uint32_t slots_max_wanted) noexcept {
  // pairs with take(), publishes the chunk of the slots below it.
  const std::uint32_t end = std::min(fresh_.load(base::acquire), slots_max_wanted);
  for (std::uint32_t slot = 0; slot < end; ++slot) {
    if (!visit(stack_in(slot), argument)) return;
  }
}

stack_counters stack_arena::counters() noexcept {
  const base::guard hold(list_lock_);
  const std::uint32_t guarded = guarded_.load(base::relaxed);  // relaxed: a snapshot for the reader
  const std::uint32_t fresh = fresh_.load(base::relaxed);      // relaxed: the same
  std::uint64_t reserved = 0;
  for (std::uint32_t chunk = 0; chunk < chunks_max; ++chunk) {
    if (chunks_[chunk].load(base::relaxed) == nullptr) break;  // relaxed: the same
    reserved += round_up(chunk_slots(chunk) * slot_bytes_, chunk_alignment);
  }
  return {guarded,
          static_cast<std::uint64_t>(ledger_.promised()),
          fresh - warm_ - cold_,
          warm_,
          cold_,
          trimmed_,
          reserved};
}

}  // namespace treadle::context
