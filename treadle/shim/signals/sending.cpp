#include "treadle/shim/signals/sending.hpp"

#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/signals/attendant.hpp"
#include "treadle/shim/signals/nudge.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/signals/signal_descriptors.hpp"

namespace treadle::shim {

constinit signal_queue process_pending;

namespace {

constinit int process = 0;  // fixed after start

// Makes a thread look. With the book's lock held, so that its record is its own.
void nudge(program_thread& target) noexcept {
  program_thread::after_sending();
  // seq_cst: not before the fence, as all that follow
  if (target.interruptible.load(base::seq_cst)) {
    if (core::thread* parked = target.self.load(base::acquire)) {  // pairs with begin_thread()
      if (wait_stopper* stopper = target.stopper) {
        stopper->stop(*stopper);
      } else {
        core::scheduler_port::unpark(*parked);
      }
    }
    return;
  }
  const seat* under = target.under.load(base::acquire);  // pairs with treadle_shim_take_seat()
  if (under == nullptr || under == seat_in_gs()) return;
  // seq_cst: as above; another one there, or it is on its way to the seat and has yet to look
  if (under->occupant.load(base::seq_cst) != &target) return;
  if (target.executes) return;
  nudge_kernel_thread(process, under->kernel_id);
  // seq_cst: as deliverable()
  if (target.in_kernel.load(base::seq_cst)) call_attendant();
}

// With the book's lock held.
long make_pending(program_thread& target, const siginfo_t& info) noexcept {
  const long error = target.pending.add(info);
  if (error == 0) nudge(target);
  return error;
}

// What a thread does with a signal.
enum class taking : std::uint8_t { blocks, awaits, lets_in };

taking taking_of(const program_thread& one, std::uint64_t bit) noexcept {
  // seq_cst, both: after the signal is in the queue
  if ((~one.mask.load(base::seq_cst) & bit) != 0) return taking::lets_in;
  return (one.awaited.load(base::seq_cst) & bit) != 0 ? taking::awaits : taking::blocks;
}

// Each thread's answer may be another one a moment later, so that it is asked for once.
struct choice {
  program_thread* thread = nullptr;
  taking how = taking::blocks;
};

// With the book's lock held.
choice choose(std::uint64_t bit) noexcept {
  choice found;
  for (program_thread* one = threads().first(); one != nullptr; one = one->next) {
    const taking how = taking_of(*one, bit);
    if (how == taking::blocks) continue;
    if (one->is_leader) return {one, how};  // the kernel prefers it, too
    // seq_cst: as deliverable(); one that waits is told without a signal
    if (found.thread == nullptr || one->interruptible.load(base::seq_cst)) found = {one, how};
  }
  return found;
}

// With the book's lock held.
void tell(const choice& who, std::uint64_t bit) noexcept {
  // seq_cst, both: before the look where it is; see program_thread::deliverable()
  if (who.how == taking::lets_in) who.thread->told.fetch_or(bit, base::seq_cst);
  nudge(*who.thread);
}

// With the book's lock held. These wait for the process; the caller does not take them any more.
void tell_others(std::uint64_t set) noexcept {
  for (; set != 0; set &= set - 1) {
    const std::uint64_t bit = set & -set;
    const choice who = choose(bit);
    if (who.thread != nullptr) {
      tell(who, bit);
    } else if ((read_by_descriptors() & bit) != 0) {
      siginfo_t info;
      while (process_pending.take(bit, info)) put_into_kernel(info);
    }
  }
}

// What waits for a descriptor, and is the calling thread's to take. Before it says so: afterwards
// the attendant may have it in its hands already.
void take_over_read(program_thread& self, std::uint64_t set) noexcept {
  siginfo_t info;
  while (take_from_kernel(set, info)) {
    const base::guard hold(threads().lock);
    static_cast<void>(make_pending(self, info));
  }
}

}  // namespace

void remember_process(int number) noexcept { process = number; }

int this_process() noexcept { return process; }

bool takes(const program_thread& one, std::uint64_t set) noexcept {
  return taking_of(one, set) != taking::blocks;
}

long send_to(program_thread& target, const siginfo_t& info) noexcept {
  const std::uint64_t bit = bit_of(info.si_signo);
  const taking how = taking_of(target, bit);
  if (how == taking::lets_in && disposition_of(info.si_signo) == disposition::ignore) return 0;
  if (how == taking::blocks && (read_by_descriptors() & bit) != 0) {
    return put_into_kernel(info);
  }
  return make_pending(target, info);
}

long send_to_process(const siginfo_t& info) noexcept {
  const std::uint64_t bit = bit_of(info.si_signo);
  const disposition what = disposition_of(info.si_signo);
  {
    const base::guard hold(threads().lock);
    if (what == disposition::ignore && choose(bit).how == taking::lets_in) return 0;
    const long error = process_pending.add(info);
    if (error != 0) return error;
    const choice who = choose(bit);
    const bool is_for_thread =
        who.thread != nullptr && (who.how == taking::awaits || what != disposition::by_default);
    if (is_for_thread) tell(who, bit);
    const bool is_read = (read_by_descriptors() & bit) != 0;
    if (is_for_thread || (who.thread == nullptr && !is_read)) return 0;
    siginfo_t taken;
    static_cast<void>(process_pending.take(bit, taken));
    if (who.thread == nullptr) return put_into_kernel(taken);
  }
  act_by_default(info.si_signo);
  return 0;
}

bool remind() noexcept {
  const base::guard hold(threads().lock);
  bool found = false;
  for (program_thread* one = threads().first(); one != nullptr; one = one->next) {
    if (one->deliverable() == 0) continue;
    found = true;
    nudge(*one);
  }
  return found;
}

void take_over_raised(program_thread& self, int number) noexcept {
  const std::uint64_t one = bit_of(number);
  const timespec at_once{};
  kernel_call(SYS_rt_sigtimedwait, &one, nullptr, &at_once, sizeof(one));
  siginfo_t info{};
  info.si_signo = number;
  info.si_code = SI_USER;
  const base::guard hold(threads().lock);
  static_cast<void>(send_to(self, info));
}

std::uint64_t pending_for(const program_thread& self) noexcept {
  const std::uint64_t here = self.pending.bits() | process_pending.bits();
  const std::uint64_t read = read_by_descriptors();
  return read == 0 ? here : here | (read & pending_in_kernel());
}

bool take_pending(program_thread& self, std::uint64_t set, siginfo_t& out) noexcept {
  if (((self.pending.bits() | process_pending.bits()) & set) != 0) {
    const base::guard hold(threads().lock);
    if (self.pending.take(set, out) || process_pending.take(set, out)) return true;
  }
  return take_from_kernel(read_by_descriptors() & set, out);
}

void set_mask(program_thread& self, std::uint64_t wanted) noexcept {
  wanted &= ~unblockable;
  const std::uint64_t old = self.mask.load(base::relaxed);  // relaxed: our own
  const std::uint64_t read = read_by_descriptors();
  if ((read & old & ~wanted) != 0) take_over_read(self, read & old & ~wanted);
  self.mask.store(wanted, base::seq_cst);  // before the look at the queue
  if ((read & old & ~wanted) != 0) call_attendant();
  if ((read & wanted & ~old) != 0) wait_until_left();
  if (process_pending.bits() == 0) return;
  const base::guard hold(threads().lock);
  const std::uint64_t there = process_pending.bits();
  const std::uint64_t before = self.told.load(base::relaxed) & there;  // relaxed, both: the lock's
  self.told.store(there & ~wanted, base::relaxed);
  tell_others(before & wanted);
}

void begin_to_await(program_thread& self, std::uint64_t set) noexcept {
  self.awaited.store(set, base::seq_cst);  // before the look at the queue
  if ((read_by_descriptors() & set) != 0) call_attendant();
}

void end_to_await(program_thread& self) noexcept {
  const std::uint64_t set = self.awaited.exchange(0, base::seq_cst);  // as above
  if (const std::uint64_t read = read_by_descriptors() & set) {
    wait_until_left();
    const base::guard hold(threads().lock);
    siginfo_t info;
    // relaxed: our own
    while (self.pending.take(read & self.mask.load(base::relaxed), info)) put_into_kernel(info);
  }
  if ((process_pending.bits() & set) == 0) return;
  const base::guard hold(threads().lock);
  tell_others(process_pending.bits() & set);
}

void leave_signals(program_thread& self) noexcept { set_mask(self, ~std::uint64_t{0}); }

}  // namespace treadle::shim
