#include "treadle/shim/signals/signal_queue.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <climits>

#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/signals/timers.hpp"

namespace treadle::shim {

struct queued_signal {
  siginfo_t info{};
  queued_signal* next = nullptr;
  queued_signal* previous = nullptr;
};

namespace {

constexpr int first_real_time = 32;  // sourced: the kernel's; libc keeps two of them for itself
// Guess: so few need no look at the limit.
constexpr unsigned never_too_many = 32;

// Guarded by the book's lock.
struct supply {
  queued_signal* free = nullptr;
  unsigned in_use = 0;
};
constinit supply signals;

bool are_too_many() noexcept {
  if (signals.in_use < never_too_many) return false;
  rlimit limit{};
  kernel_call(SYS_getrlimit, RLIMIT_SIGPENDING, &limit);
  return signals.in_use >= limit.rlim_cur;
}

queued_signal* take_free() noexcept {
  if (signals.free == nullptr) {
    constexpr std::size_t bytes = 16 * 1024;  // guess: some hundred
    const long memory = kernel_call(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0) return nullptr;
    auto* fresh = reinterpret_cast<queued_signal*>(memory);
    for (std::size_t i = 0; i < bytes / sizeof(queued_signal); ++i) {
      fresh[i].next = signals.free;
      signals.free = &fresh[i];
    }
  }
  queued_signal* found = signals.free;
  signals.free = found->next;
  ++signals.in_use;
  return found;
}

void give_free(queued_signal& one) noexcept {
  one.next = signals.free;
  signals.free = &one;
  --signals.in_use;
}

}  // namespace

queued_signal* signal_queue::find(int number) const noexcept {
  queued_signal* one = first_;
  while (one != nullptr && one->info.si_signo != number) one = one->next;
  return one;
}

void signal_queue::remove(queued_signal& one) noexcept {
  (one.previous != nullptr ? one.previous->next : first_) = one.next;
  (one.next != nullptr ? one.next->previous : last_) = one.previous;
}

long signal_queue::add(const siginfo_t& info) noexcept {
  const int number = info.si_signo;
  const bool pending = (bits() & bit_of(number)) != 0;
  if (pending && info.si_code == SI_TIMER) {
    for (queued_signal* one = first_; one != nullptr; one = one->next) {
      if (one->info.si_code != SI_TIMER || one->info.si_timerid != info.si_timerid) continue;
      if (__builtin_add_overflow(one->info.si_overrun, info.si_overrun, &one->info.si_overrun) ||
          __builtin_add_overflow(one->info.si_overrun, 1, &one->info.si_overrun)) {
        one->info.si_overrun = INT_MAX;  // sourced: DELAYTIMER_MAX of Linux
      }
      return 0;
    }
  }
  if (pending && number < first_real_time) return 0;
  const bool counts = number >= first_real_time;
  queued_signal* fresh = counts && are_too_many() ? nullptr : take_free();
  if (fresh == nullptr && counts) return -EAGAIN;
  if (fresh != nullptr) {
    fresh->info = info;
    fresh->next = nullptr;
    fresh->previous = last_;
    (last_ != nullptr ? last_->next : first_) = fresh;
    last_ = fresh;
  }
  bits_.fetch_or(bit_of(number), base::seq_cst);  // see bits()
  return 0;
}

bool signal_queue::take(std::uint64_t set, siginfo_t& out) noexcept {
  const std::uint64_t found = bits() & set;
  if (found == 0) return false;
  const int number = __builtin_ctzll(found) + 1;
  out = {};
  out.si_signo = number;
  if (queued_signal* one = find(number)) {
    out = one->info;
    remove(*one);
    give_free(*one);
    if (out.si_code == SI_TIMER) note_overrun(out.si_timerid, out.si_overrun);
  }
  if (find(number) == nullptr) bits_.fetch_and(~bit_of(number), base::seq_cst);  // see bits()
  return true;
}

void signal_queue::move_to(signal_queue& other, std::uint64_t set) noexcept {
  siginfo_t info;
  // Those for which the other has no place more are lost, as they would be for a full queue.
  while (take(set, info)) static_cast<void>(other.add(info));
}

void signal_queue::clear() noexcept {
  siginfo_t info;
  while (take(~std::uint64_t{0}, info)) {
  }
}

}  // namespace treadle::shim
