// The switch as a call into assembly: AArch64, and sanitizer builds of x86-64. Included by
// switch.hpp only. The callee-saved registers are pushed on the stack that is left.
#pragma once

#include <cstddef>

#include "treadle/context/switch.hpp"

extern "C" void treadle_context_start();
extern "C" std::uintptr_t treadle_context_jump(treadle::context::resume_point* here,
                                               const treadle::context::resume_point* there,
                                               std::uintptr_t message);

namespace treadle::context {

static_assert(offsetof(frame, resume) == 0 && offsetof(frame, frame_pointer) == 8 &&
                  offsetof(resume_point, stack_pointer) == 0 && offsetof(resume_point, rest) == 8,
              "the assembly names these offsets");

inline resume_point make_frame(std::byte* top, entry_function entry) noexcept {
  // What the start routine pops, so that `top`, a multiple of 16, is left: AArch64 pops in pairs.
#if defined(__aarch64__)
  constexpr std::size_t popped = 16;
#else
  constexpr std::size_t popped = sizeof(entry_function);
#endif
  auto* slot = reinterpret_cast<entry_function*>(top - popped);
  *slot = entry;
  // Below the stack pointer, but read before anything else uses the stack.
  auto* rest = reinterpret_cast<frame*>(slot) - 1;
  *rest = {reinterpret_cast<void*>(&treadle_context_start), nullptr};
  return {slot, rest};
}

// Always inlined, all three: ThreadSanitizer notes a call on the stack of the context that it was
// told to be in, which by now is the other one, and a jump for ever never comes back to undo that.
[[gnu::always_inline]] inline std::uintptr_t jump(resume_point& here, resume_point there,
                                                  std::uintptr_t message) noexcept {
  return treadle_context_jump(&here, &there, message);
}

[[gnu::always_inline]] inline std::uintptr_t jump_to_new(resume_point& here, std::byte* top,
                                                         entry_function entry,
                                                         std::uintptr_t message) noexcept {
  const resume_point there = make_frame(top, entry);
  return treadle_context_jump(&here, &there, message);
}

[[noreturn, gnu::always_inline]] inline void jump_for_ever(resume_point there,
                                                           std::uintptr_t message) noexcept {
  resume_point unused;
  treadle_context_jump(&unused, &there, message);
  __builtin_unreachable();
}

}  // namespace treadle::context
