#include "treadle/shim/signals/signal_descriptors.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/attendant.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/takeover.hpp"

namespace treadle::shim {
namespace {

constinit base::atomic<std::uint64_t> all_read{0};
// How often the attendant was asked to look who takes what, and up to which of these it has looked.
constinit base::atomic<std::uint32_t> asked{0};
constinit base::atomic<std::uint32_t> answered{0};

// From whoever holds the book's lock to the first kernel thread.
enum : std::uint32_t { empty = 0, full = 1 };
constinit base::atomic<std::uint32_t> mailbox{empty};
constinit siginfo_t in_mailbox{};  // the sender's while it is empty

void wait_while(base::atomic<std::uint32_t>& word, std::uint32_t seen) noexcept {
  while (word.load(base::acquire) == seen) {  // pairs with turn_to()
    kernel_call(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr);
  }
}

void turn_to(base::atomic<std::uint32_t>& word, std::uint32_t next) noexcept {
  word.store(next, base::release);  // pairs with wait_while()
  kernel_call(SYS_futex, &word, FUTEX_WAKE_PRIVATE, ~0u >> 1);
}

// With the book's lock held. What the shim has already for the process, and for the caller.
void put_back(program_thread& self, std::uint64_t set) noexcept {
  siginfo_t info;
  // relaxed: our own
  const std::uint64_t blocked = set & self.mask.load(base::relaxed);
  while (process_pending.take(set, info) || self.pending.take(blocked, info)) put_into_kernel(info);
}

// With the book's lock held. Which of the set all threads block, and none awaits.
std::uint64_t nobody_takes(std::uint64_t set) noexcept {
  for (program_thread* one = threads().first(); one != nullptr && set != 0; one = one->next) {
    // seq_cst, both: who changes them afterwards calls the attendant, which looks again
    set &= one->mask.load(base::seq_cst) & ~one->awaited.load(base::seq_cst);
  }
  return set;
}

}  // namespace

std::uint64_t read_by_descriptors() noexcept {
  // seq_cst: after the caller's change of what it takes; pairs with keep_in_kernel()
  return all_read.load(base::seq_cst);
}

std::uint64_t left_to_descriptors() noexcept {
  const std::uint32_t request = asked.load(base::seq_cst);  // before the look
  std::uint64_t left = read_by_descriptors();
  if (left != 0) {
    const base::guard hold(threads().lock);
    left = nobody_takes(left);
  }
  // relaxed: its own
  if (answered.load(base::relaxed) != request) turn_to(answered, request);
  return left;
}

void wait_until_left() noexcept {
  const std::uint32_t request = asked.fetch_add(1, base::seq_cst) + 1;  // after what has changed
  call_attendant();
  for (;;) {
    const std::uint32_t last = answered.load(base::acquire);  // pairs with turn_to()
    if (static_cast<std::int32_t>(last - request) >= 0) return;
    wait_while(answered, last);
  }
}

long put_into_kernel(const siginfo_t& info) noexcept {
  const int process = this_process();
  const bool is_own =
      info.si_code == SI_TKILL || (info.si_code == SI_USER && info.si_pid == process);
  if (is_own) return kernel_call(SYS_kill, process, info.si_signo);
  if (info.si_code < 0) return kernel_call(SYS_rt_sigqueueinfo, process, info.si_signo, &info);
  wait_while(mailbox, full);
  in_mailbox = info;
  turn_to(mailbox, full);
  return 0;
}

void put_what_others_send() noexcept {
  for (;;) {
    wait_while(mailbox, empty);
    kernel_call(SYS_rt_sigqueueinfo, this_process(), in_mailbox.si_signo, &in_mailbox);
    turn_to(mailbox, empty);
  }
}

bool take_from_kernel(std::uint64_t set, siginfo_t& out) noexcept {
  const timespec at_once{};
  return set != 0 && kernel_call(SYS_rt_sigtimedwait, &set, &out, &at_once, sizeof(set)) > 0;
}

std::uint64_t pending_in_kernel() noexcept {
  std::uint64_t found = 0;
  kernel_call(SYS_rt_sigpending, &found, sizeof(found));
  return found;
}

namespace {

// From now on, and what waits here already.
void keep_in_kernel(program_thread& self, std::uint64_t set) noexcept {
  // What the shim's own kernel threads take never waits in the kernel.
  set &= ~(unblockable | signals_of_workers() | bit_of(attendant_signal));
  all_read.fetch_or(set, base::seq_cst);  // before the look at what waits
  wait_until_left();
  const base::guard hold(threads().lock);
  put_back(self, set);
  wait_while(mailbox, full);
}

}  // namespace

long serve_signal_descriptor(saved_call& call) noexcept {
  const long result = pass_on(call);
  if (result < 0) return result;
  keep_in_kernel(*call.caller, *reinterpret_cast<const std::uint64_t*>(call.arguments[1]));
  return result;
}

void give_pending_to_kernel(program_thread& self) noexcept {
  // relaxed: our own
  const std::uint64_t set = pending_for(self) & self.mask.load(base::relaxed);
  if (set != 0) keep_in_kernel(self, set);
}

}  // namespace treadle::shim
