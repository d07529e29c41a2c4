// What AddressSanitizer and ThreadSanitizer must be told about contexts, and nothing otherwise.
//
// AddressSanitizer keeps the bounds of the current stack and a fake stack per context;
// ThreadSanitizer keeps one logical thread ("fiber") per context. Order around a jump:
// leave(from, to) - jump - arrive(self). A context that ends leaves with leave_for_ever().
// ThreadSanitizer's switch is told to synchronise: two contexts on one kernel thread are ordered
// by that thread, as everything else on it is.
#pragma once

#include <cstddef>

#if defined(TREADLE_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(TREADLE_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace treadle::context {

struct fiber_note {
  // Whether a context may be forgotten while it still runs its last instructions.
#if defined(TREADLE_TSAN)
  static constexpr bool may_end_itself = false;
#else
  static constexpr bool may_end_itself = true;
#endif

#if defined(TREADLE_ASAN)
  void* fake_stack = nullptr;
  const void* stack_bottom = nullptr;
  std::size_t stack_bytes = 0;
#endif
#if defined(TREADLE_TSAN)
  void* fiber = nullptr;
#endif

  // Describes the kernel thread's own stack; call on it.
  void adopt_kernel_stack() noexcept;

  // Describes a new context on a stack of the runtime's.
  void begin([[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(TREADLE_ASAN)
    fake_stack = nullptr;
    stack_bottom = bottom;
    stack_bytes = bytes;
    // The last thread on this stack left without taking its frames' redzones down.
    __asan_unpoison_memory_region(bottom, bytes);
#endif
#if defined(TREADLE_TSAN)
    fiber = __tsan_create_fiber(0);
#endif
  }

  // Forgets an ended context; where not may_end_itself, from another one.
  void end() noexcept {
#if defined(TREADLE_TSAN)
    __tsan_destroy_fiber(fiber);
    fiber = nullptr;
#endif
  }
};

inline void leave([[maybe_unused]] fiber_note& from, [[maybe_unused]] fiber_note& to) noexcept {
#if defined(TREADLE_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack_bottom, to.stack_bytes);
#endif
#if defined(TREADLE_TSAN)
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

inline void leave_for_ever([[maybe_unused]] fiber_note& to) noexcept {
#if defined(TREADLE_ASAN)
  __sanitizer_start_switch_fiber(nullptr, to.stack_bottom, to.stack_bytes);
#endif
#if defined(TREADLE_TSAN)
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

inline void arrive([[maybe_unused]] fiber_note& self) noexcept {
#if defined(TREADLE_ASAN)
  __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#endif
}

}  // namespace treadle::context
