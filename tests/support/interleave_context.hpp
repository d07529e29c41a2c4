// The contexts of virtual threads: ucontext, with the notes that the sanitizers want at switches.
//
// Only interleave_state.hpp includes it. ucontext and not the project's own switch: what is under
// test must not carry the test.
#pragma once

#include <ucontext.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define INTERLEAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define INTERLEAVE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define INTERLEAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define INTERLEAVE_TSAN 1
#endif
#endif
#ifdef INTERLEAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef INTERLEAVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace treadle::interleave::detail {

inline constexpr std::size_t stack_bytes = 128UL * 1024;  // guess: room for sanitizer frames
// Every schedule leaves frames on TSan's own call stack of a fibre. Guess: few enough not to fill
// it (64 Ki entries), many enough to make the creation cheap.
inline constexpr unsigned fiber_age_max = 200;

struct context {
  ucontext_t registers{};
  std::byte* stack = nullptr;
#ifdef INTERLEAVE_ASAN
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
#endif
#ifdef INTERLEAVE_TSAN
  void* fiber = nullptr;
  unsigned fiber_age = 0;
#endif
};

inline void switch_context(context& from, context& to, bool from_is_over) {
#ifdef INTERLEAVE_ASAN
  __sanitizer_start_switch_fiber(from_is_over ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#ifdef INTERLEAVE_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
  static_cast<void>(from_is_over);
  swapcontext(&from.registers, &to.registers);
#ifdef INTERLEAVE_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

// Makes the context start at `entry` at its next switch; what it stood in before is given up.
inline void begin(context& where, void (*entry)()) {
#ifdef INTERLEAVE_ASAN
  __asan_unpoison_memory_region(where.stack, stack_bytes);
  where.bottom = where.stack;
  where.size = stack_bytes;
#endif
#ifdef INTERLEAVE_TSAN
  if (where.fiber != nullptr && ++where.fiber_age > fiber_age_max) {
    __tsan_destroy_fiber(where.fiber);
    where.fiber = nullptr;
  }
  if (where.fiber == nullptr) {
    where.fiber = __tsan_create_fiber(0);
    where.fiber_age = 0;
  }
#endif
  getcontext(&where.registers);
  where.registers.uc_stack.ss_sp = where.stack;
  where.registers.uc_stack.ss_size = stack_bytes;
  where.registers.uc_link = nullptr;
  makecontext(&where.registers, entry, 0);
}

#ifdef INTERLEAVE_TSAN
inline void adopt(context& home) { home.fiber = __tsan_get_current_fiber(); }
inline void end(const context& where) {
  if (where.fiber != nullptr) __tsan_destroy_fiber(where.fiber);
}
#else
inline void adopt(context&) {}
inline void end(const context&) {}
#endif

}  // namespace treadle::interleave::detail
