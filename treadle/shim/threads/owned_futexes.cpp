#include "treadle/shim/threads/owned_futexes.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <cerrno>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/futex_queue.hpp"
#include "treadle/shim/threads/futexes.hpp"
#include "treadle/shim/threads/order.hpp"

namespace treadle::shim {
namespace {

// Time from one look at a shared word to the next. Guesses: a lock between processes is mostly held
// for short, and one that is held for long costs as little as other shared futexes do.
class pauses {
 public:
  std::int64_t next() noexcept {
    const std::int64_t now = next_;
    next_ = now < longest / 2 ? now * 2 : longest;
    return now;
  }

 private:
  static constexpr std::int64_t longest = shared_look_nanoseconds;
  std::int64_t next_ = 200'000;
};

// No thread has that number. One of another process under `treadle run` cannot be looked for.
bool is_nobody(std::uint32_t owner, bool is_private) noexcept {
  if (!is_private) {
    return !is_number_of_ours(owner) && kernel_call(SYS_tkill, owner, 0) == -ESRCH;
  }
  const base::guard hold(threads().lock);
  return threads().find(static_cast<int>(owner)) == nullptr;
}

base::deadline sooner(base::deadline until, std::int64_t span) noexcept {
  const std::int64_t next = base::monotonic_now() + span;
  return until.is_never() || next < until.nanoseconds() ? base::deadline::at(next) : until;
}

}  // namespace

bool has_owner_in_kernel(std::uint32_t* word) noexcept {
  // Sourced: futex(2), a FUTEX_WAKE at a word for which somebody waits in FUTEX_LOCK_PI is EINVAL.
  return kernel_call(SYS_futex, word, FUTEX_WAKE, 1) == -EINVAL;
}

long lock_owned(program_thread& self, const futex_call& call) noexcept {
  base::deadline until = base::deadline::never();
  const bool only_tries = call.operation == FUTEX_TRYLOCK_PI;
  if (!only_tries) {
    futex_call timed = call;
    if (call.operation == FUTEX_LOCK_PI) timed.by_wall_clock = true;
    if (const long error = until_of(timed, true, until)) return error;
  }
  const auto mine = static_cast<std::uint32_t>(self.id);
  pauses looks;
  for (;;) {
    std::uint32_t seen;
    if (!load_word(call.word, seen)) return -EFAULT;
    const std::uint32_t owner = seen & FUTEX_TID_MASK;
    if (owner == mine) return -EDEADLK;
    // Without an owner, and with somebody who waits: of a dead owner's, perhaps in the kernel.
    const bool is_free = owner == 0 && (call.is_private || (seen & FUTEX_WAITERS) == 0 ||
                                        !has_owner_in_kernel(call.word));
    if (is_free) {
      const std::uint32_t wanted = (seen & ~std::uint32_t{FUTEX_TID_MASK}) | mine;
      const exchanged how = exchange_word(call.word, seen, wanted);
      if (how == exchanged::no) continue;
      return how == exchanged::yes ? 0 : -EFAULT;
    }
    // Who has ended has let go before: the word would say so.
    if (std::uint32_t now; owner != 0 && is_nobody(owner, call.is_private) &&
                           load_word(call.word, now) && (now & FUTEX_TID_MASK) == owner) {
      return -ESRCH;
    }
    if (only_tries) return -EAGAIN;
    if ((seen & FUTEX_WAITERS) == 0) {
      const exchanged how = exchange_word(call.word, seen, seen | FUTEX_WAITERS);
      if (how == exchanged::no) continue;
      if (how == exchanged::not_there) return -EFAULT;
      seen |= FUTEX_WAITERS;
    }
    const base::deadline look = call.is_private ? until : sooner(until, looks.next());
    switch (wait_in_queue(self, call.word, seen, ~0u, look)) {
      case queue_end::timed_out:
        if (until.has_passed()) return -ETIMEDOUT;
        break;
      case queue_end::interrupted:
        return begin_again;  // sourced: futex(2), LOCK_PI never ends with EINTR
      case queue_end::not_there:
        return -EFAULT;
      case queue_end::woken:
      case queue_end::another_value:
        break;
    }
  }
}

long unlock_owned(const saved_call& saved, const futex_call& call) noexcept {
  const program_thread& self = *saved.caller;
  std::uint32_t seen;
  if (!load_word(call.word, seen)) return -EFAULT;
  if ((seen & FUTEX_TID_MASK) != static_cast<std::uint32_t>(self.id)) return -EPERM;
  if (self.is_leader && !call.is_private) {
    if (const long error = order_first(saved)) return error;
  } else {
    exchanged how;
    while ((how = exchange_word(call.word, seen, 0)) == exchanged::no) {
    }
    if (how == exchanged::not_there) return -EFAULT;
  }
  wake_futex(call.word, ~0u, ~0u);
  return 0;
}

long lock_owned_in_child(const long* arguments) noexcept {
  const auto operation = static_cast<int>(arguments[1]);
  const auto* const word = reinterpret_cast<const std::uint32_t*>(arguments[0]);
  const auto* const limit = reinterpret_cast<const timespec*>(arguments[3]);
  const int command = operation & FUTEX_CMD_MASK;
  const bool by_wall_clock = command == FUTEX_LOCK_PI || (operation & FUTEX_CLOCK_REALTIME) != 0;
  pauses looks;
  for (;;) {
    const long result = kernel_call(SYS_futex, arguments[0], operation, arguments[2], arguments[3]);
    if (result != -ESRCH) return result;
    // Nobody's that the kernel knew: a thread's of ours, which may have let go meanwhile, and
    // another may have it by now. The kernel could read it: so can we. seq_cst: as the kernel's
    const std::uint32_t owner = __atomic_load_n(word, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK;
    if (owner != 0 && is_nobody(owner, false) &&
        (__atomic_load_n(word, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK) == owner) {
      return result;
    }
    if (command == FUTEX_TRYLOCK_PI) {
      if (owner != 0) return -EAGAIN;
      continue;
    }
    base::deadline until = base::deadline::never();
    if (limit != nullptr) {
      until = deadline_at(by_wall_clock ? CLOCK_REALTIME : CLOCK_MONOTONIC, *limit);
    }
    if (until.has_passed()) return -ETIMEDOUT;
    const timespec point = timespec_of(sooner(until, looks.next()).nanoseconds());
    kernel_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &point, nullptr);
  }
}

}  // namespace treadle::shim
