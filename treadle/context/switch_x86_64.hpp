// The x86-64 switch, inlined into its caller. Included by switch.hpp only.
//
// Nothing is pushed, so call-frame information stays right up to the instruction that replaces
// the stack pointer, and a red zone below the stack pointer stays whole.
#pragma once

#include <cstddef>

#include "treadle/context/switch.hpp"

// Pops the entry function from the new stack and calls it; unwinding ends here (switch_x86_64.S).
extern "C" void treadle_context_start();

namespace treadle::context {

static_assert(offsetof(frame, resume) == 0 && offsetof(frame, frame_pointer) == 8 &&
                  offsetof(resume_point, stack_pointer) == 0 && offsetof(resume_point, rest) == 8,
              "the assembly below names these offsets");

inline resume_point make_frame(std::byte* top, entry_function entry) noexcept {
  // `top` is a multiple of 16: after the pop and the call, rsp % 16 == 8 as the ABI asks.
  auto* slot = reinterpret_cast<entry_function*>(top - sizeof(entry_function));
  *slot = entry;
  // Below the stack pointer, in the red zone: read before anything else uses the stack.
  auto* rest = reinterpret_cast<frame*>(slot) - 1;
  *rest = {reinterpret_cast<void*>(&treadle_context_start), nullptr};
  return {slot, rest};
}

// All that a jump does not keep; the others are operands.
#if defined(__AVX512F__)
#define TREADLE_JUMP_CLOBBERS_512                                                               \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",   \
      "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
      "k7"
#else
#define TREADLE_JUMP_CLOBBERS_512
#endif
#define TREADLE_JUMP_CLOBBERS                                                                   \
  "rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0",   \
      "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
      "xmm12", "xmm13", "xmm14", "xmm15" TREADLE_JUMP_CLOBBERS_512

// Always inlined: a call around the jump would be one more return to mispredict.
[[gnu::always_inline]] inline std::uintptr_t jump(resume_point& here, resume_point there,
                                                  std::uintptr_t message) noexcept {
  frame own;
  resume_point* from = &here;
  asm volatile(
      "leaq %[resume], %%rax\n\t"
      "movq %%rax, 8(%[from])\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rsp, 0(%[from])\n\t"
      "movq %%rax, %[resume]\n\t"
      "movq %%rbp, %[frame_pointer]\n\t"
      "movq 8(%[rest]), %%rbp\n\t"
      "movq %[to], %%rsp\n\t"
      "jmpq *0(%[rest])\n"
      "1:\n"
      : "+D"(message), [to] "+S"(there.stack_pointer), [rest] "+d"(there.rest), [from] "+c"(from),
        [resume] "=m"(own.resume), [frame_pointer] "=m"(own.frame_pointer)
      :
      : TREADLE_JUMP_CLOBBERS);
  return message;
}

// Without a frame in memory, which the jump would read back at once, and without the first
// instructions that would unpack it.
[[gnu::always_inline]] inline std::uintptr_t jump_to_new(resume_point& here, std::byte* top,
                                                         entry_function entry,
                                                         std::uintptr_t message) noexcept {
  frame own;
  resume_point* from = &here;
  asm volatile(
      "leaq %[resume], %%rax\n\t"
      "movq %%rax, 8(%[from])\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rsp, 0(%[from])\n\t"
      "movq %%rax, %[resume]\n\t"
      "movq %%rbp, %[frame_pointer]\n\t"
      "movq %[top], %%rsp\n\t"
      "leaq treadle_context_end(%%rip), %%rax\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "pushq %%rax\n\t"
      "jmpq *%[entry]\n"
      "1:\n"
      : "+D"(message), [top] "+S"(top), [entry] "+c"(entry), [from] "+d"(from),
        [resume] "=m"(own.resume), [frame_pointer] "=m"(own.frame_pointer)
      :
      : TREADLE_JUMP_CLOBBERS);
  return message;
}

[[noreturn, gnu::always_inline]] inline void jump_for_ever(resume_point there,
                                                           std::uintptr_t message) noexcept {
  asm volatile(
      "movq 8(%[rest]), %%rbp\n\t"
      "movq %[to], %%rsp\n\t"
      "jmpq *0(%[rest])\n"
      :
      : "D"(message), [to] "S"(there.stack_pointer), [rest] "d"(there.rest)
      : "memory");
  __builtin_unreachable();
}

}  // namespace treadle::context

#undef TREADLE_JUMP_CLOBBERS
#undef TREADLE_JUMP_CLOBBERS_512
