// Preemption in M:N: a thread that computes beyond its slice while others wait.
//
// The monitor arms a timer on the CPU time of the worker's kernel thread, whose signal interrupts
// it at the kernel's next tick after that. The handler stops the *kernel thread*, thread and all,
// on a futex, and gives the processor to another worker; later somebody gives it a processor back,
// and the handler returns. So the thread may be stopped anywhere, in malloc or printf or amid a
// throw: it goes on on the same kernel thread, with the same errno and thread-local storage.
// A timer on CPU time and not a signal sent by the monitor: a thread that sleeps in the kernel uses
// none, and the kernel raises the signal on its way back to the program (since Linux 5.9). So no
// system call ever ends early, with EINTR, for the runtime's sake.
// Not preempted: a worker that is inside the scheduler, or holds one of the runtime's spin locks,
// or blocks the signal. The monitor tries again.
// Rejected: switching threads inside the handler: a thread that goes on on another kernel thread
// amid malloc corrupts it (measured in a prototype: 12 of 12 runs).
// Source: Shiina, Iwasaki, Taura and Balaji, "Lightweight preemptive user-level threads",
// PPoPP'21: KLT-switching.
#include <csignal>

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "treadle/base/free_signal.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/sched/many_to_many_vigil.hpp"

namespace treadle::core {
namespace {

#if defined(sigev_notify_thread_id)
#define TREADLE_SIGEV_THREAD sigev_notify_thread_id
#else
#define TREADLE_SIGEV_THREAD _sigev_un._tid
#endif

constinit base::spin_lock signal_lock;
int signal_number = 0;  // guarded by signal_lock until it is set, then fixed

// Guess: of so many preempted threads one is chosen for its age and not for its level.
constexpr unsigned preempted_share = 4;

priority level_of_preempted(const crew_member& under) noexcept {
  return under.preempted->level.load(base::relaxed).effective;  // relaxed: may change at any time
}

}  // namespace

// A real-time signal that nobody uses, with our handler, for all runtimes; 0 when there is none.
int many_to_many::claim_signal() noexcept {
  const base::guard hold(signal_lock);
  if (signal_number != 0) return signal_number;
  // All signals wait until a stopped kernel thread goes on.
  signal_number = base::claim_free_signal(&many_to_many::on_slice_over, SA_RESTART | SA_ONSTACK);
  return signal_number;
}

void many_to_many::prepare_preemption() noexcept {
  report_.preempts = false;
  if (settings_.slice_nanoseconds == 0) {
    report_.why_not_preempting = "switched off by the slice setting";
    return;
  }
  // A preempted thread may hold a lock of libc's, and those who wait for it would keep all
  // processors: nobody would take them away, and it would never go on.
  if (report_.level == activation_level::off) {
    report_.why_not_preempting = "without activation nobody sees who waits for a preempted thread";
    return;
  }
#if defined(TREADLE_TSAN)
  report_.why_not_preempting = "ThreadSanitizer puts signals off";
#else
  signal_ = claim_signal();
  if (signal_ == 0) {
    report_.why_not_preempting = "no real-time signal is free";
    return;
  }
  timespec tick{};
  ::clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
  tick_nanoseconds_ = tick.tv_sec * base::nanoseconds_per_second + tick.tv_nsec;
  report_.preempts = true;
#endif
}

// On the member's own kernel thread.
void many_to_many::open_slice_timer(crew_member& me) noexcept {
  if (!report_.preempts || base::injected_fault(base::faulty_call::timer_create) != 0) return;
  const int saved = errno;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal_;
  event.sigev_value.sival_ptr = &me;
  event.TREADLE_SIGEV_THREAD = static_cast<int>(::gettid());
  int timer = -1;
  if (::syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0) {
    me.slice_timer.store(timer, base::release);  // pairs with arm_slice_timer()
  }
  errno = saved;
}

void many_to_many::close_slice_timer(crew_member& me) noexcept {
  const int timer = me.slice_timer.exchange(-1, base::relaxed);  // relaxed: the monitor has ended
  if (timer >= 0) ::syscall(SYS_timer_delete, timer);
}

// By the monitor: after so much CPU time, at the kernel's next tick.
void many_to_many::arm_slice_timer(crew_member& hog, std::uint64_t word, unsigned ticks,
                                   std::int64_t nanoseconds) noexcept {
  const int timer = hog.slice_timer.load(base::acquire);  // pairs with open_slice_timer()
  if (timer < 0) return;
  // relaxed, all: the signal comes after the system call
  hog.slice_word.store(word, base::relaxed);
  hog.slice_ticks.store(ticks, base::relaxed);
  hog.slice_is_watched.store(true, base::relaxed);
  itimerspec then{};
  then.it_value.tv_sec = nanoseconds / base::nanoseconds_per_second;
  then.it_value.tv_nsec = nanoseconds % base::nanoseconds_per_second;
  ::syscall(SYS_timer_settime, timer, 0, &then, nullptr);
}

void many_to_many::on_slice_over(int, siginfo_t* info, void*) {
  if (info->si_code != SI_TIMER) return;
  const int saved = errno;
  auto& me = *static_cast<crew_member*>(info->si_value.sival_ptr);
  me.slice_is_watched.store(false, base::relaxed);  // relaxed: the monitor may see it a look later
  // Outside the scheduler and without a spin lock, nothing of the runtime's is half done here.
  if (me.inside.load(base::relaxed) == 0 && base::locks_held() == 0) {  // relaxed: our own
    static_cast<many_to_many*>(me.home)->preempt(me);
  }
  errno = saved;
}

void many_to_many::preempt(crew_member& me) noexcept {
  thread& self = *current_thread_or_null();
  if (!enter(me)) {
    stop_kernel_thread(me, self, nullptr, nullptr);
    return leave(me);
  }
  processor& mine = of(me);
  const std::int64_t now = base::monotonic_now();
  // relaxed, all: our own; another thread may run here since the timer was armed
  const bool same = mine.claim.look().word == me.slice_word.load(base::relaxed) &&
                    mine.ticks.load(base::relaxed) == me.slice_ticks.load(base::relaxed);
  if (!same || !somebody_waits(mine, now) || is_spared(mine, self, now)) return leave(me);
  // Where only other preempted threads wait, the oldest of them goes on at once.
  crew_member* other = nullptr;
  if (!somebody_queues(mine, now)) other = pop_preempted();
  if (other == nullptr) other = crew_.take_spare();
  // Without a spare the queues wait: another preempted thread may hold what all workers wait for.
  if (other == nullptr) other = pop_preempted();
  if (other == nullptr) return leave(me);
  stop_kernel_thread(me, self, &mine, other);
  leave(me);
}

// Inside. Queues the thread and the kernel thread under it, gives the processor away, if there is
// one, and sleeps until somebody gives us another.
void many_to_many::stop_kernel_thread(crew_member& me, thread& self, processor* mine,
                                      crew_member* other) noexcept {
  // Preempted before, and has not stopped since: this was the preempted threads' turn. relaxed: we
  // run under it
  const bool goes_on = self.now.load(base::relaxed).why == wait_reason::preempted;
  transition(self, thread_state::running, thread_state::ready, wait_reason::preempted);
  preemptions_.fetch_add(1, base::relaxed);  // relaxed: a statistic
  me.processor = &nowhere_;
  {
    const base::guard hold(preempted_lock_);
    me.preempted = &self;
    preempted_list_.push_back(&me);
    publish_preempted();
  }
  // From here on we may be given a processor at any time, and wait() will say so.
  if (mine != nullptr) {
    mine->turn_begins = true;
    if (goes_on) mine->queues_since = base::monotonic_now();
    other->draw_here(me);
    mine->claim.give(me.number, other->number);
    other->wake(mine, false);
  } else if (idle_.anybody_sleeps()) {
    wake_one(true);
  }
  const crew_member::order given = me.wait();
  me.processor = given.about;
  if (given.as_spinner) idle_.stop_spinning();
  transition(self, thread_state::ready, thread_state::running, wait_reason::preempted);
}

// With the lock held, after a change of the list.
void many_to_many::publish_preempted() noexcept {
  priority highest = priority::background;
  for (const crew_member* one = preempted_list_.first(); one != nullptr; one = one->link) {
    highest = std::max(highest, level_of_preempted(*one));
  }
  preempted_highest_.store(highest, base::relaxed);  // relaxed: a guess
  // seq_cst: as the inject queue's size
  preempted_count_.store(preempted_list_.size(), base::seq_cst);
}

// The kernel thread of the preempted thread that has waited longest of those of the highest level,
// or, now and then, of all; or null.
crew_member* many_to_many::pop_preempted() noexcept {
  const base::guard hold(preempted_lock_);
  crew_member* first = preempted_list_.first();
  if (++preempted_turns_ % preempted_share != 0) {
    for (crew_member* one = first; one != nullptr; one = one->link) {
      if (level_of_preempted(*one) > level_of_preempted(*first)) first = one;
    }
  }
  if (first != nullptr) preempted_list_.remove(first);
  publish_preempted();
  return first;
}

void many_to_many::put_back_preempted(crew_member& first) noexcept {
  {
    const base::guard hold(preempted_lock_);
    preempted_list_.push_front(&first);
    publish_preempted();
  }
  if (idle_.anybody_sleeps()) wake_one(true);
}

// From the idle context: the preempted thread that has waited longest gets this processor. True
// when there is one.
bool many_to_many::resume_preempted(processor& mine) noexcept {
  mine.preempted_next = false;
  if (!somebody_is_preempted()) return false;
  crew_member* other = pop_preempted();
  if (other == nullptr) return false;
  auto& me = static_cast<crew_member&>(*current_worker_or_null());
  other->draw_here(me);
  hand_to(mine, me, *other);
  return true;
}

}  // namespace treadle::core
