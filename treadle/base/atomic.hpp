// The one door to atomics: every atomic of the runtime is named through this header.
//
// Structures whose interleavings are tested exhaustively are templates over the atomic, so that a
// test can put one in that hands control to its scheduler at every operation. Orders are always
// written out, each with its reason; the short names below keep those lines readable.
#pragma once

#include <atomic>

namespace treadle::base {

template <class T>
using atomic = std::atomic<T>;

inline constexpr std::memory_order relaxed = std::memory_order_relaxed;
inline constexpr std::memory_order acquire = std::memory_order_acquire;
inline constexpr std::memory_order release = std::memory_order_release;
inline constexpr std::memory_order acq_rel = std::memory_order_acq_rel;
inline constexpr std::memory_order seq_cst = std::memory_order_seq_cst;

// Keeps the compiler, not the CPU, from moving memory accesses across.
inline void compiler_fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

// Tells the CPU that this is a spin: saves power and frees the sibling hyper-thread.
inline void spin_hint() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// The value itself, but kept in a register of its own: neighbours are not copied together with it.
template <class T>
[[gnu::always_inline]] inline T as_one_word(T value) noexcept {
  static_assert(sizeof(T) <= sizeof(void*));
  asm("" : "+r"(value));
  return value;
}

}  // namespace treadle::base
