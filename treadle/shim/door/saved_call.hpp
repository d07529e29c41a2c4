// A call of the program's, as the door (door_x86_64.S) leaves it on the thread's own side stack.
//
// The layout is the door's: it pushes the fields from the last to the first. Everything that a
// system call keeps is here, so that the thread can go on under another kernel thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::shim {

struct program_thread;

struct saved_call {
  std::uint8_t vectors[16 * 16];  // xmm0 to xmm15
  std::uint32_t vector_control;   // MXCSR, see save_control()
  std::uint32_t float_control;    // the x87 control word
  program_thread* caller;
  std::int64_t number;         // rax: the call's number, then its result
  std::uint64_t arguments[6];  // rdi, rsi, rdx, r10, r8, r9
  std::uint64_t rbx;
  std::uint64_t rbp;
  std::uint64_t r12;
  std::uint64_t r13;
  std::uint64_t r14;
  std::uint64_t r15;
  std::uint64_t thread_pointer;  // the FS base
  std::uint64_t return_address;
  std::uint64_t stack_pointer;
};

// The door's own numbers.
static_assert(offsetof(saved_call, vector_control) == 256 &&
              offsetof(saved_call, float_control) == 260 && offsetof(saved_call, caller) == 264 &&
              offsetof(saved_call, number) == 272 && offsetof(saved_call, rbx) == 328 &&
              offsetof(saved_call, thread_pointer) == 376 && sizeof(saved_call) == 400 &&
              sizeof(saved_call) % 16 == 0);

// By the caller, before it may go on on another kernel thread or another one on this. The runtime
// changes neither word, and STMXCSR alone is a tenth of a call through the door.
inline void save_control(saved_call& call) noexcept {
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(call.vector_control), "+m"(call.float_control));
}

// Before the time at which the door would do it.
inline void load_control(const saved_call& call) noexcept {
  asm volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(call.vector_control), "m"(call.float_control));
}

}  // namespace treadle::shim
