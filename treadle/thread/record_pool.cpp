#include "treadle/thread/record_pool.hpp"

#include <sys/mman.h>

#include <new>
#include <utility>

#include "treadle/base/system_call.hpp"
#include "treadle/thread/body.hpp"
#include "treadle/thread/debugger_table.hpp"
#include "treadle/thread/names.hpp"
#include "treadle/thread/record_list.hpp"

namespace treadle::core {
namespace {

// Guess: 4096 records a slab; one system call per 4096 threads, untouched pages cost nothing.
constexpr std::size_t slab_bytes = 4096 * sizeof(thread);

// In the place of a slab's first record.
struct alignas(thread) slab_note {
  slab_note* next = nullptr;
};
static_assert(sizeof(slab_note) == sizeof(thread));

struct shared_pool {
  base::spin_lock lock;
  // Guarded by lock.
  base::chain<thread> free;
  std::byte* slab = nullptr;
  std::size_t slab_left = 0;
  std::byte* slab_ahead = nullptr;  // the next one, see record_pool.hpp; null when memory is short
  slab_note* slabs = nullptr;       // all but the first, the youngest in front
  std::uint32_t next_id = 1;
};

constinit shared_pool pool;

// The first records need no system call that could fail, so main can always be adopted.
// Guess: four batches, 16 KiB of zeroes.
constexpr std::size_t first_slab_bytes = 256 * sizeof(thread);
alignas(thread) constinit std::byte first_slab[first_slab_bytes] = {};
constinit bool first_slab_used = false;

// With the lock held.
void map_ahead() noexcept {
  const base::mapping_result mapped = base::map_memory(nullptr, slab_bytes, PROT_READ | PROT_WRITE,
                                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (mapped.error == 0) pool.slab_ahead = static_cast<std::byte*>(mapped.address);
}

// With the lock held: a never used record, or null.
thread* carve() noexcept {
  if (pool.slab_left == 0 && !first_slab_used) {
    first_slab_used = true;
    pool.slab = first_slab;
    pool.slab_left = first_slab_bytes;
  }
  if (pool.slab_left == 0) {
    if (pool.slab_ahead == nullptr) return nullptr;
    auto* note = ::new (pool.slab_ahead) slab_note;
    note->next = pool.slabs;
    pool.slabs = note;
    pool.slab = std::exchange(pool.slab_ahead, nullptr) + sizeof(slab_note);
    pool.slab_left = slab_bytes - sizeof(slab_note);
  }
  thread* record = ::new (pool.slab) thread;
  pool.slab += sizeof(thread);
  pool.slab_left -= sizeof(thread);
  return record;
}

// Reads what its owner may be writing. A torn name is possible, a crash is not. Atomics that their
// owner makes anew are read as plain words: a call of theirs would be instrumented all the same.
#if defined(__clang__)
[[clang::no_sanitize("thread", "address"), gnu::noinline]]
#else
[[gnu::no_sanitize_thread, gnu::no_sanitize_address, gnu::noinline]]
#endif
bool view_of(const thread& which, record_view& out) noexcept {
  // relaxed, here and below: a moment's
  out.now = which.now.load(base::relaxed);
  if (out.now.state == thread_state::free || out.now.state == thread_state::fresh) return false;
  out.level = which.level.load(base::relaxed);
  out.id = static_cast<const volatile std::uint32_t&>(which.id);
  out.name[0] = '\0';
  if (!static_cast<const volatile bool&>(which.bound)) return true;
  if (is_foreign(*const_cast<scheduler_port* const volatile*>(&which.scheduler))) return true;
  if (out.now.state == thread_state::finished) return true;
  const thread_body* body = *const_cast<thread_body* const volatile*>(&which.body);
  if (body == nullptr) return true;
  const auto& owner = reinterpret_cast<thread* const volatile&>(body->owner);
  if (owner != &which) return true;
  for (std::size_t i = 0; i < name_bytes - 1; ++i) {
    out.name[i] = static_cast<const volatile char&>(body->name[i]);
    if (out.name[i] == '\0') break;
  }
  out.name[name_bytes - 1] = '\0';
  if (owner != &which) out.name[0] = '\0';
  return true;
}

void list_slab(const std::byte* from, std::size_t bytes,
               void (*see)(void* context, const record_view& view), void* context) {
  for (std::size_t at = 0; at < bytes; at += sizeof(thread)) {
    record_view view;
    if (view_of(*reinterpret_cast<const thread*>(from + at), view)) see(context, view);
  }
}

}  // namespace

void list_records(void (*see)(void* context, const record_view& view), void* context) {
  const std::byte* end = nullptr;
  const slab_note* slabs = nullptr;
  bool first_used = false;
  {
    const base::guard hold(pool.lock);
    end = pool.slab;
    slabs = pool.slabs;
    first_used = first_slab_used;
  }
  if (!first_used) return;
  const std::byte* first_end = slabs == nullptr ? end : first_slab + first_slab_bytes;
  list_slab(first_slab, static_cast<std::size_t>(first_end - first_slab), see, context);
  // The youngest is the one that is carved from.
  for (const slab_note* one = slabs; one != nullptr; one = one->next) {
    const auto* from = reinterpret_cast<const std::byte*>(one);
    const std::byte* to = one == slabs ? end : from + slab_bytes;
    list_slab(from + sizeof(slab_note), static_cast<std::size_t>(to - from) - sizeof(slab_note),
              see, context);
  }
}

bool record_pool::refill(record_cache& cache) noexcept {
  const base::guard hold(pool.lock);
  if (cache.next_id == cache.id_limit) {
    cache.next_id = pool.next_id;
    cache.id_limit = pool.next_id += batch;
  }
  if (pool.slab_ahead == nullptr && pool.free.empty()) map_ahead();
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

// Neither type is a standard layout by the letter; g++ and clang lay them out in order.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
extern "C" [[gnu::used]] constinit const treadle::core::debugger_table treadle_debugger_table = {
    .mark = {'t', 'r', 'e', 'a', 'd', 'l', 'e', '1'},
    .carving = &treadle::core::pool.slab,
    .slabs = &treadle::core::pool.slabs,
    .first_used = &treadle::core::first_slab_used,
    .first_slab = treadle::core::first_slab,
    .first_slab_bytes = treadle::core::first_slab_bytes,
    .slab_bytes = treadle::core::slab_bytes,
    .record_bytes = sizeof(treadle::core::thread),
    .resume = offsetof(treadle::core::thread, resume),
    .body = offsetof(treadle::core::thread, body),
    .id = offsetof(treadle::core::thread, id),
    .now = offsetof(treadle::core::thread, now),
    .bound = offsetof(treadle::core::thread, bound),
    .owner = offsetof(treadle::core::thread_body, owner),
    .stack = offsetof(treadle::core::thread_body, stack),
    .name = offsetof(treadle::core::thread_body, name),
    .name_bytes = treadle::core::name_bytes,
    .kernel_id = offsetof(treadle::core::thread_body, kernel_id),
    .states = treadle::core::state_names,
    .state_count = std::size(treadle::core::state_names),
    .reasons = treadle::core::reason_names,
    .reason_count = std::size(treadle::core::reason_names),
};
#pragma GCC diagnostic pop
