#include "treadle/context/stack_arenas.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "treadle/base/system_call.hpp"
#include "treadle/context/stack_surplus.hpp"

namespace treadle::context {
namespace {

// Guess: ten sizes from 16 KiB to 8 MiB with a few guard sizes.
constexpr std::uint32_t arenas_max = 64;
// Guess: far above what the API allows; keeps the arithmetic of chunks within 64 bits.
constexpr std::size_t stack_bytes_max = std::size_t{1} << 30;

// Never destroyed, so raw storage. Guarded by `lock`; entries below `count` are fixed.
struct registry {
  alignas(stack_arena) std::byte storage[arenas_max][sizeof(stack_arena)];
  base::atomic<std::uint32_t> count{0};
  base::spin_lock lock;

  stack_arena* at(std::uint32_t index) noexcept {
    return std::launder(reinterpret_cast<stack_arena*>(storage[index]));
  }
};

constinit registry arenas{};

}  // namespace

stack_arena* arena_for(std::size_t stack_bytes, std::size_t guard_bytes) noexcept {
  if (stack_bytes > stack_bytes_max || guard_bytes > stack_bytes_max) return nullptr;
  const std::size_t page = base::page_bytes();
  const std::size_t stack_size = std::bit_ceil(std::max(stack_bytes, page));
  const std::size_t guard_size = (guard_bytes + page - 1) / page * page;
  const base::guard hold(arenas.lock);
  const std::uint32_t count = arenas.count.load(base::relaxed);  // relaxed: written under the lock
  for (std::uint32_t i = 0; i < count; ++i) {
    stack_arena* const arena = arenas.at(i);
    if (arena->stack_bytes() == stack_size && arena->guard_bytes() == guard_size) return arena;
  }
  if (count == arenas_max) return nullptr;
  stack_arena* const arena = new (arenas.storage[count]) stack_arena(stack_size, guard_size);
  arenas.count.store(count + 1, base::release);  // pairs with the walks below, publishes the arena
  return arena;
}

stack_arena* arena_of(const void* address, stack* out) noexcept {
  const std::uint32_t count = arenas.count.load(base::acquire);  // pairs with arena_for()
  for (std::uint32_t i = 0; i < count; ++i) {
    if (arenas.at(i)->find(address, out)) return out->arena;
  }
  return nullptr;
}

void for_each_touched_slot(bool (*visit)(const stack&, void*), void* argument,
                           std::uint32_t slots_max) noexcept {
  // The visitor's wish to stop has to end the walk over arenas too.
  struct walk {
    bool (*visit)(const stack&, void*);
    void* argument;
    std::uint32_t left;
    bool stopped;
  };
  walk state{visit, argument, slots_max, false};
  const auto step = [](const stack& slot, void* opaque) {
    auto& here = *static_cast<walk*>(opaque);
    --here.left;
    here.stopped = !here.visit(slot, here.argument);
    return !here.stopped;
  };
  const std::uint32_t count = arenas.count.load(base::acquire);  // pairs with arena_for()
  for (std::uint32_t i = 0; i < count && !state.stopped && state.left > 0; ++i) {
    arenas.at(i)->for_each_touched_slot(step, &state, state.left);
  }
}

std::int64_t trim_unused(std::int64_t now) noexcept {
  // relaxed: before the arenas' locks; who has a surplus from now on says so again
  detail::has_surplus.store(false, base::relaxed);
  std::int64_t next = stack_arena::never;
  const std::uint32_t count = arenas.count.load(base::acquire);  // pairs with arena_for()
  for (std::uint32_t i = 0; i < count; ++i) next = std::min(next, arenas.at(i)->trim_unused(now));
  if (next != stack_arena::never) detail::has_surplus.store(true, base::relaxed);  // relaxed: ours
  return next;
}

void end_keeping() noexcept {
  // relaxed: nothing is published
  if (detail::surplus_keepers.fetch_sub(1, base::relaxed) != 1 || !has_surplus()) return;
  const std::uint32_t count = arenas.count.load(base::acquire);  // pairs with arena_for()
  for (std::uint32_t i = 0; i < count; ++i) arenas.at(i)->trim_surplus();
}

}  // namespace treadle::context
