// Sets of signals as the kernel has them: bit n-1 is signal n.
#pragma once

#include <signal.h>

#include <cstdint>

namespace treadle::shim {

inline constexpr int signal_count = 64;

constexpr std::uint64_t bit_of(int number) noexcept { return std::uint64_t{1} << (number - 1); }

// What a thread's own instructions raise: the kernel brings them to the worker under it.
inline constexpr std::uint64_t faults = bit_of(SIGSEGV) | bit_of(SIGBUS) | bit_of(SIGFPE) |
                                        bit_of(SIGILL) | bit_of(SIGTRAP) | bit_of(SIGSYS);

inline constexpr std::uint64_t unblockable = bit_of(SIGKILL) | bit_of(SIGSTOP);

// Linux's own form of a signal's action; glibc's is another.
struct kernel_action {
  void* handler;
  std::uint64_t flags;
  void* restorer;
  std::uint64_t mask;
};
inline constexpr std::uint64_t has_restorer = 0x04000000;  // sourced: SA_RESTORER

inline void* const default_action = nullptr;
inline void* const ignore_action = reinterpret_cast<void*>(1);

}  // namespace treadle::shim
