// All arenas of the process, one for each pair of stack and guard size.
//
// Arenas are made on demand and never destroyed, so a pointer to one, and to memory in one, stays
// valid for ever: a signal handler may look at any of them at any time. Runtimes share them.
// Rejected: one set for each runtime (stacks would have to be unmapped, with handlers looking).
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/context/stack_arena.hpp"

namespace treadle::context {

// The arena for stacks of at least this size. Stack sizes are rounded up to a power of two, so
// that threads that each ask for another size share few arenas; only address space is spent.
// nullptr when there are too many different guard sizes or the stack is larger than 1 GiB.
[[nodiscard]] stack_arena* arena_for(std::size_t stack_bytes, std::size_t guard_bytes) noexcept;

// The arena and slot that hold this address, guard included, or nullptr. Async-signal-safe.
[[nodiscard]] stack_arena* arena_of(const void* address, stack* out) noexcept;

// Visits touched slots of all arenas; see stack_arena::for_each_touched_slot(). Async-signal-safe.
void for_each_touched_slot(bool (*visit)(const stack&, void*), void* argument,
                           std::uint32_t slots_max) noexcept;

}  // namespace treadle::context
