#include "treadle/context/fiber_note.hpp"

#include <pthread.h>

namespace treadle::context {

void fiber_note::adopt_kernel_stack() noexcept {
#if defined(TREADLE_ASAN)
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
    void* bottom = nullptr;
    ::pthread_attr_getstack(&attributes, &bottom, &stack_bytes);
    stack_bottom = bottom;
    ::pthread_attr_destroy(&attributes);
  }
#endif
#if defined(TREADLE_TSAN)
  fiber = __tsan_get_current_fiber();
#endif
}

}  // namespace treadle::context
