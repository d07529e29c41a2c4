// Checks, and the end of the process when one fails.
//
// TREADLE_CHECK is always on; TREADLE_ASSERT only in builds with assertions (dev, sanitizers).
// Neither is ever turned into an assumption for the optimiser. A broken runtime may hold any lock,
// so the report is constant text written with one system call: no allocation, no stdio.
#pragma once

#include <string_view>

namespace treadle::base {

// Writes "treadle: <text> (<file>:<line>)" on descriptor 2 and aborts.
[[noreturn]] void fail_check(const char* text, const char* file, int line) noexcept;

// Misuse by the program: writes "treadle: <call>: <text>, in thread <id> "<name>"" and aborts.
// The thread is that of the caller, found through the hook that the thread room sets.
[[noreturn]] void fail_misuse(std::string_view call, std::string_view text) noexcept;

// True once exit() has begun to run what was registered before the runtime started: static objects
// may then be destroyed while threads still use them, and nobody is to blame.
bool process_is_ending() noexcept;
// Makes process_is_ending() work; the first call counts.
void watch_for_exit() noexcept;

// Says one line on descriptor 2 ("treadle: <text>"); async-signal-safe, truncates at 512 bytes.
void say(std::string_view text) noexcept;

// How fail_misuse() learns the calling thread's name; writes at most `size` bytes, returns how
// many.
using name_caller_function = std::size_t (*)(char* out, std::size_t size) noexcept;
void set_name_caller(name_caller_function function) noexcept;

}  // namespace treadle::base

#define TREADLE_CHECK(condition, text)                       \
  do {                                                       \
    if (!(condition)) [[unlikely]] {                         \
      ::treadle::base::fail_check(text, __FILE__, __LINE__); \
    }                                                        \
  } while (false)

#if defined(TREADLE_ASSERTIONS)
#define TREADLE_ASSERT(condition, text) TREADLE_CHECK(condition, text)
#else
#define TREADLE_ASSERT(condition, text) \
  do {                                  \
  } while (false)
#endif
