// blocking(f): runs what would block the kernel thread where it blocks nobody.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "treadle/io/blocking_pool.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/pool_call.hpp"

namespace treadle {

// Calls f() on a kernel thread of the process's blocking-call pool (io/blocking_pool.hpp) and gives
// back what it returns or throws. For whatever Treadle cannot see into: a library that waits, a
// call without an io:: counterpart.
// Blocks: parks the calling thread only. From a thread that has a kernel thread to itself (model
// 1:1, system scope, a foreign one) f runs in place, and blocks that.
// At most TREADLE_BLOCKING_THREADS calls (64) run at a time; the others wait in a queue, whose
// length io::blocking_counters() tells. So f must not wait for another blocking() call.
// Happens-before: what comes before the call before f, f before the return. errno is handed over
// both ways. In f, this_thread and thread_specific are those of the pool's kernel thread.
// Errors: f's. When the kernel refuses every thread for the pool, f runs in place all the same.
// Cancellation: none; once submitted, f runs to its end.
// Not promised: a certain kernel thread; the use in a child after fork().
template <class F>
auto blocking(F&& f) -> std::invoke_result_t<F&> {
  using result = std::invoke_result_t<F&>;
  if (!io::shares_kernel_thread()) return std::invoke(f);
  std::exception_ptr thrown;
  if constexpr (std::is_void_v<result>) {
    auto body = [&]() noexcept {
      try {
        std::invoke(f);
      } catch (...) {
        thrown = std::current_exception();
      }
    };
    io::run_on_pool(body);
    if (thrown) std::rethrow_exception(std::move(thrown));
  } else {
    // A reference is kept as a pointer, anything else as it is.
    constexpr bool refers = std::is_reference_v<result>;
    using kept = std::conditional_t<refers, std::add_pointer_t<result>, result>;
    std::optional<kept> value;
    auto body = [&]() noexcept {
      try {
        if constexpr (refers) {
          result&& got = std::invoke(f);
          value.emplace(std::addressof(got));
        } else {
          value.emplace(std::invoke(f));
        }
      } catch (...) {
        thrown = std::current_exception();
      }
    };
    io::run_on_pool(body);
    if (thrown) std::rethrow_exception(std::move(thrown));
    if constexpr (refers) {
      return static_cast<result>(**value);
    } else {
      return std::move(*value);
    }
  }
}

}  // namespace treadle
