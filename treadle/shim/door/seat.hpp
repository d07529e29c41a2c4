// What a kernel thread has for the program thread that runs on it. The GS base points at it, so
// that the door finds it with one instruction while the FS base belongs to the program's thread.
//
// Two sides: on the program's side the FS base is the program thread's own (its TLS, errno, malloc
// cache), on the runtime's side it is the kernel thread's, whose TLS the core rooms use. Which side
// we are on is asked by comparing the FS base with `program_pointer`: a kernel thread that the
// runtime has just made inherits its maker's GS base, but never its FS base.
// Rejected: a mode word in the seat (wrong on inherited seats), a second pointer in GS (a WRGSBASE
// on each way, for nothing).
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::shim {

struct program_thread;

struct seat {
  // Read and written by the door; offsets in door_x86_64.S.
  std::uint64_t program_pointer = nowhere;  // FS base while the program's code runs here
  std::uint64_t runtime_pointer = 0;        // FS base of this kernel thread's own
  void* side_stack = nullptr;               // top of the side stack of who runs here
  std::uint64_t scratch = 0;
  base::atomic<program_thread*> occupant{nullptr};
  std::uint64_t mask = 0;  // signals that the occupant blocks, for its children
  std::uint64_t kept[4] = {};
  std::uint8_t selector = allow;   // read by the kernel: Syscall User Dispatch
  std::uint8_t looks_again = no;   // a signal came on the runtime's side, perhaps after the look
  std::uint8_t sets_control = no;  // the occupant's control words are not the kernel thread's
  std::uint64_t calls = 0;         // that came from the program here
  // The rest is the owner's.
  std::uint64_t avoided = 0;  // of these, without the kernel
  int kernel_id = 0;
  seat* next = nullptr;  // fixed after it is made
  seat* self = this;     // RDGSBASE takes as long as ten of these loads

  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};  // no FS base
  enum : std::uint8_t { allow = 0, block = 1 };                // sourced: SYSCALL_DISPATCH_FILTER_*
  enum : std::uint8_t { no = 0, yes = 1 };
};

static_assert(offsetof(seat, program_pointer) == 0 && offsetof(seat, runtime_pointer) == 8 &&
              offsetof(seat, side_stack) == 16 && offsetof(seat, scratch) == 24 &&
              offsetof(seat, occupant) == 32 && offsetof(seat, mask) == 40 &&
              offsetof(seat, kept) == 48 && offsetof(seat, selector) == 80 &&
              offsetof(seat, looks_again) == 81 && offsetof(seat, sets_control) == 82 &&
              offsetof(seat, calls) == 88 && offsetof(seat, avoided) == 96);

#if defined(__x86_64__)
inline std::uint64_t thread_pointer() noexcept {
  std::uint64_t value;
  asm volatile("rdfsbase %0" : "=r"(value)::"memory");
  return value;
}
inline void set_thread_pointer(std::uint64_t value) noexcept {
  asm volatile("wrfsbase %0" ::"r"(value) : "memory");
}
inline seat* seat_in_gs() noexcept {
  seat* value;
  asm volatile("movq %%gs:%c1, %0" : "=r"(value) : "i"(offsetof(seat, self)) : "memory");
  return value;
}
inline void count_avoided() noexcept {
  asm volatile("incq %%gs:%c0" ::"i"(offsetof(seat, avoided)) : "memory", "cc");
}
// Of libc's own threads: what their FS base points at begins with that address.
inline std::uint64_t thread_pointer_in_memory() noexcept {
  std::uint64_t value;
  asm volatile("movq %%fs:0, %0" : "=r"(value)::"memory");
  return value;
}
inline void set_seat_in_gs(seat* value) noexcept {
  asm volatile("wrgsbase %0" ::"r"(value) : "memory");
}
#endif

// The calling kernel thread runs program threads from now on, and for ever: no worker ends before
// the process does.
seat& make_seat() noexcept;

// All that have been made, from the last one on. Counters of others may be behind.
const seat* first_seat() noexcept;

// Of kernel threads that no program thread runs on: always on the runtime's side.
extern "C" seat treadle_shim_outside __attribute__((visibility("hidden")));

// Runtime's side: the calling kernel thread's seat, made at its first use.
inline seat& own_seat() noexcept {
  seat* here = seat_in_gs();
  if (here->runtime_pointer == thread_pointer_in_memory() && here != &treadle_shim_outside)
      [[likely]]
    return *here;
  return make_seat();
}

}  // namespace treadle::shim
