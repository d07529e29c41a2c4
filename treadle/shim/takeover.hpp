// The moment in which a process becomes ours: at its first new thread.
//
// Until then nothing of it is touched but libc's few sites that make threads. Then, on the only
// kernel thread that there is: libc's other sites are patched; a helper kernel thread, the
// attendant, opens the runtime; the first thread of the program goes on as a Treadle thread, and
// its kernel thread, the leader, sleeps for ever: it is there because the process's number is its.
// The attendant stays as the one kernel thread that receives the process's signals (signals.hpp).
// Rejected: taking over at the start (a shell's hundred children would all pay for it); the leader
// as a worker (its TLS is the first thread's, and a worker needs one of its own).
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/shim/door/saved_call.hpp"

namespace treadle {
class runtime;
}

namespace treadle::shim {

struct settings {
  bool falls_back = false;  // go on natively, with a warning, where we cannot take over
  const char* stats_file = nullptr;
  bool is_pure = false;                   // pure.hpp; in m:1 only
  std::int64_t watchdog_nanoseconds = 0;  // its limit; 0: none
  std::int64_t slice_nanoseconds = 0;     // slices.hpp; 0: none
};
settings& chosen() noexcept;

// Whether the program's threads are Treadle threads now. False again in a child that fork() made.
extern constinit base::atomic<bool> taken_over __attribute__((visibility("hidden")));
inline bool in_use() noexcept {
  return taken_over.load(base::relaxed);  // relaxed: set before threads exist
}
void leave_to_kernel() noexcept;  // in such a child

// The leader's first creation of a thread. Comes back only when it could not be done.
void take_over(saved_call& first) noexcept;

// Null while not in use.
treadle::runtime* own_runtime() noexcept;

// What workers do not block: faults, and the signal that ends a slice.
std::uint64_t signals_of_workers() noexcept;

}  // namespace treadle::shim
