#include "treadle/shim/calls/children.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>

#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/futex_queue.hpp"
#include "treadle/shim/threads/futexes.hpp"

namespace treadle::shim {
namespace {

// SIGCHLDs seen; parents wait on it as on a futex of the program's.
constinit std::uint32_t events = 0;

// Guess: a child that was reaped by another thread, or one that nobody is told of (SA_NOCLDWAIT,
// a tracer), is noticed so much later.
constexpr std::int64_t look_nanoseconds = 50'000'000;

// Only what the kernel writes of a waitid()'s, where there may be no more room.
bool tell(std::uint64_t to, const siginfo_t& info) noexcept {
  constexpr std::size_t end = offsetof(siginfo_t, si_status) + sizeof(info.si_status);
  return copy_all(reinterpret_cast<void*>(to), &info, end);
}

}  // namespace

void wake_parents() noexcept {
  __atomic_fetch_add(&events, 1, __ATOMIC_SEQ_CST);  // seq_cst: before the wake-up
  wake_futex(&events, ~0u, ~0u);
}

long serve_wait_for_child(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  const bool by_id = call.number == SYS_waitid;
  const unsigned options_at = by_id ? 3 : 2;
  const std::uint64_t options = call.arguments[options_at];
  siginfo_t info{};
  for (;;) {
    const std::uint32_t seen = __atomic_load_n(&events, __ATOMIC_SEQ_CST);  // before the look
    if (by_id) info.si_pid = 0;
    const long found =
        kernel_call(call.number, call.arguments[0], call.arguments[1],
                    by_id ? reinterpret_cast<std::uint64_t>(&info) : options | WNOHANG,
                    by_id ? options | WNOHANG : call.arguments[3], call.arguments[4]);
    if (found < 0 || (options & WNOHANG) != 0 || (by_id ? info.si_pid != 0 : found != 0)) {
      // Also of an error, in which case there is nothing in it.
      const bool is_told = by_id && call.arguments[2] != 0;
      return is_told && !tell(call.arguments[2], info) ? -EFAULT : found;
    }
    const base::deadline look = base::deadline::at(base::monotonic_now() + look_nanoseconds);
    if (wait_in_queue(self, &events, seen, ~0u, look) == queue_end::interrupted) return -EINTR;
  }
}

}  // namespace treadle::shim
