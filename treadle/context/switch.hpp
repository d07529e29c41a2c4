// The switch: leave one stack and go on on another.
//
// A stopped context is its stack pointer and a `frame` on its own stack: where to go on and with
// which frame pointer. jump() fills in the caller's and continues `there`, handing it a message
// word; it returns when somebody jumps to `here`, with that jump's message. The stack pointer is
// kept with whoever keeps the context, because all that comes after the jump waits for it: a load
// less in that chain is worth more than an instruction less (bench `handoff`: 1 ns).
//
// Saved: stack pointer, frame pointer and resume address; all other registers are declared
// clobbered, so the compiler spills only what is live. Not saved: floating-point control (MXCSR,
// x87 control word, FPCR): a thread that changes rounding modes restores them before it blocks.
// An indirect jump resumes, never `ret`: a return to another stack is always mispredicted by the
// return stack (measured: 2.7 ns against 14 ns on Sapphire Rapids, bench workload `switch`).
// Rejected: ucontext (a system call for the signal mask, 50 times dearer), setjmp (mangled
// pointers), saving registers by hand in the inline variant (it saves dead ones too).
//
// Sanitizers must hear of every switch: `fiber_note` carries what they need to know of a context
// and is empty in other builds. Sanitizer builds use the out-of-line switch, because an
// instrumented function may keep addresses of its redzones in registers the asm cannot name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::context {

// Filled by jump() or make_frame(); of no use before, so nothing is written at each stop.
struct frame {
  void* resume;
  void* frame_pointer;
};
struct resume_point {
  void* stack_pointer;
  const frame* rest;
};

// What a new context runs first: gets the message of the jump that started it, never returns.
using entry_function = void (*)(std::uintptr_t message);

// What starts `entry` on an empty stack. `top` is one past the highest usable byte, a multiple of
// 16.
inline resume_point make_frame(std::byte* top, entry_function entry) noexcept;

// See the file head. Blocks nothing; any thread; `there` must be stopped and nobody else's.
inline std::uintptr_t jump(resume_point& here, resume_point there, std::uintptr_t message) noexcept;

// The same as a jump to make_frame(top, entry).
inline std::uintptr_t jump_to_new(resume_point& here, std::byte* top, entry_function entry,
                                  std::uintptr_t message) noexcept;

// A jump from a context that nobody will continue.
[[noreturn]] inline void jump_for_ever(resume_point there, std::uintptr_t message) noexcept;

}  // namespace treadle::context

#if defined(TREADLE_SANITIZED) || defined(TREADLE_SWITCH_OUT_OF_LINE) || !defined(__x86_64__)
#include "treadle/context/switch_out_of_line.hpp"
#else
#include "treadle/context/switch_x86_64.hpp"
#endif
