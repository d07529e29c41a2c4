// Read sections of the calling thread, and waiting for those of all threads: the core of RCU.
//
// A section costs a load, a test and a store at either end while the thread stays where it is; the
// scheduler calls move_read_sections() when a thread inside one stops. Who may call: any thread,
// foreign ones included; begin and end in pairs, by the same thread, nested as one likes. A signal
// handler may enter and leave sections too.
// Grace periods: one caller at a time (sync/raw_rcu.hpp).
#pragma once

#include "treadle/thread/current.hpp"
#include "treadle/thread/read_book.hpp"

namespace treadle::core {

// One for the process: what a section protects may be shared by threads of several runtimes.
extern read_book readers;

void begin_reading_slowly() noexcept;
void end_reading_slowly() noexcept;

#if defined(__x86_64__) && !defined(TREADLE_SANITIZED)
#define TREADLE_FAST_READING 1
#endif

[[gnu::always_inline]] inline void begin_reading() noexcept {
#if defined(TREADLE_FAST_READING)
  static_assert(__builtin_offsetof(current_state, reading) == 16, "the assembly names it");
  // basic_read_book::enter() of a slot that is empty. In assembly for the reason in current.hpp.
  const std::uint64_t now = readers.epoch();
  if ((now & read_book::careful) != 0) [[unlikely]]
    return begin_reading_slowly();
  asm goto(
      "movq treadle_current@gottpoff(%%rip), %%rax\n\t"
      "cmpq $0, %%fs:16(%%rax)\n\t"
      "jne %l[slow]\n\t"
      "movq %0, %%fs:16(%%rax)"
      :
      : "r"(now)
      : "rax", "cc", "memory"
      : slow);
  return;
slow:
#endif
  begin_reading_slowly();
}

[[gnu::always_inline]] inline void end_reading() noexcept {
#if defined(TREADLE_FAST_READING)
  static_assert(read_book::one == 1 && read_book::levels < 0x8000, "the assembly names them");
  // basic_read_book::leave() of a section that is not nested, on the slot that it began on.
  asm goto(
      "movq treadle_current@gottpoff(%%rip), %%rax\n\t"
      "cmpw $1, %%fs:16(%%rax)\n\t"
      "jne %l[slow]\n\t"
      "movq $0, %%fs:16(%%rax)"
      :
      :
      : "rax", "cc", "memory"
      : slow);
  return;
slow:
#endif
  end_reading_slowly();
}

// Whether the calling thread is inside a section.
[[nodiscard]] bool is_reading() noexcept;

// By the scheduler, on the thread's kernel thread: `self` stops, or ends.
void move_read_sections(thread& self) noexcept;
void end_read_sections(thread& self) noexcept;

// By a kernel thread, when it becomes known to the runtime and when it is forgotten.
void join_readers() noexcept;
void leave_readers() noexcept;

void begin_grace_period() noexcept;
[[nodiscard]] bool grace_period_is_over() noexcept;

}  // namespace treadle::core
