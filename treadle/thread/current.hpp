// Who runs here: the one door to the runtime's thread-local state.
//
// Each access is one segment-relative instruction of its own that the compiler can neither cache
// nor split: a user-level thread may go on on another kernel thread after any call, and compilers
// keep addresses of thread-local variables across calls (llvm#98479). Nothing else touches the
// variable, so the instructions need no memory clobber: volatile keeps them in order with each
// other and with the switch.
#pragma once

#include "treadle/thread/read_slot.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::core {

struct worker;

struct current_state {
  thread* self;  // null on a kernel thread that the runtime does not know yet, and on idle workers
  worker* on;    // null on a kernel thread that the runtime does not know yet
  read_slot reading;  // of the thread that runs here
};

}  // namespace treadle::core

// initial-exec: a fixed offset from the thread pointer, also in the shared library.
extern "C" {
extern __thread treadle::core::current_state treadle_current
    __attribute__((tls_model("initial-exec"), visibility("default")));
}

namespace treadle::core {

#if defined(__x86_64__)
inline thread* current_thread_or_null() noexcept {
  thread* self;
  asm volatile(
      "movq treadle_current@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(self));
  return self;
}

inline worker* current_worker_or_null() noexcept {
  worker* on;
  asm volatile(
      "movq treadle_current@gottpoff(%%rip), %0\n\t"
      "movq %%fs:8(%0), %0"
      : "=r"(on));
  return on;
}

inline void set_current_thread(thread* self) noexcept {
  void* offset;
  asm volatile(
      "movq treadle_current@gottpoff(%%rip), %0\n\t"
      "movq %1, %%fs:(%0)"
      : "=&r"(offset)
      : "r"(self));
}

inline void set_current_worker(worker* on) noexcept {
  void* offset;
  asm volatile(
      "movq treadle_current@gottpoff(%%rip), %0\n\t"
      "movq %1, %%fs:8(%0)"
      : "=&r"(offset)
      : "r"(on));
}

// Not 0 while the thread is inside a read section that it entered since it last stopped.
inline std::uint64_t read_sections_here() noexcept {
  std::uint64_t word;
  asm volatile(
      "movq treadle_current@gottpoff(%%rip), %0\n\t"
      "movq %%fs:16(%0), %0"
      : "=r"(word));
  return word;
}

// For who looks several times: finds the state once. It must be asked anew after a call that may
// wait and after a switch only because registers are gone then; the place within a kernel thread's
// block is the same in all of them.
class current_access {
 public:
  [[gnu::always_inline]] current_access() noexcept {
    asm volatile("movq treadle_current@gottpoff(%%rip), %0" : "=r"(offset_));
  }
  [[gnu::always_inline]] thread* self() const noexcept {
    thread* self;
    asm volatile("movq %%fs:(%1), %0" : "=r"(self) : "r"(offset_));
    return self;
  }
  [[gnu::always_inline]] worker* on() const noexcept {
    worker* on;
    asm volatile("movq %%fs:8(%1), %0" : "=r"(on) : "r"(offset_));
    return on;
  }
  [[gnu::always_inline]] void set_self(thread* self) const noexcept {
    asm volatile("movq %0, %%fs:(%1)" : : "r"(self), "r"(offset_));
  }
  // `word`, or more bits of it where there are read sections.
  [[gnu::always_inline]] std::uint64_t with_read_sections(std::uint64_t word) const noexcept {
    asm volatile("orq %%fs:16(%1), %0" : "+r"(word) : "r"(offset_) : "cc");
    return word;
  }

 private:
  std::uintptr_t offset_;
};
#else
// Not inlined, for the reason in the file head.
thread* current_thread_or_null() noexcept;
worker* current_worker_or_null() noexcept;
void set_current_thread(thread* self) noexcept;
void set_current_worker(worker* on) noexcept;
std::uint64_t read_sections_here() noexcept;

class current_access {
 public:
  thread* self() const noexcept { return current_thread_or_null(); }
  worker* on() const noexcept { return current_worker_or_null(); }
  void set_self(thread* self) const noexcept { set_current_thread(self); }
  std::uint64_t with_read_sections(std::uint64_t word) const noexcept {
    return word | read_sections_here();
  }
};
#endif

}  // namespace treadle::core
