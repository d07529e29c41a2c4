// Opening and closing of the vigil, and the monitor.
#include "treadle/sched/many_to_many_vigil.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "treadle/base/heavy_fence.hpp"
#include "treadle/base/kernel_thread.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::core {
namespace {

// Sourced: design bounds of 1 to 10 ms. Hurried: somebody waits, and it may be for a worker that
// does not move.
constexpr std::int64_t hurried_nanoseconds = 2'000'000;
constexpr std::int64_t alone_nanoseconds = 1'000'000;  // the same without standbys
// Nobody waits yet. Guess: who begins to just after a look should wait for a slice in all.
constexpr std::int64_t steady_nanoseconds = 5'000'000;
// All have napped between any two looks for a while, nobody sleeps for a short time only, and none
// was found blocked or computing for long. Sourced: the pauses of Go's sysmon end at 10 ms, and a
// guess: somebody may wait for half of that.
constexpr std::int64_t restful_nanoseconds = 4'000'000;
constexpr std::int64_t restful_after_nanoseconds = 250'000'000;
// A thread is seen to run for the first time up to a hurried look late, in the middle half of it;
// also the least time that it must have been seen to run before its slice can end.
constexpr std::int64_t seen_late_nanoseconds = hurried_nanoseconds / 2;
// Guess, the default slice: a holder that cannot be watched, for want of descriptors, and has run
// one thread for so long while others wait, may be blocked.
constexpr std::int64_t unseen_nanoseconds = 10'000'000;
// Guess: a processor that has napped more often since the last look would park its standby again at
// once, most likely before anything blocks, and the monitor has to look in any case.
constexpr std::uint64_t naps_for_standby = 4;
// Guess: a runtime that naps and wakes all the time should not wake its monitor every time.
constexpr unsigned idle_looks_max = 3;

// sched_setattr(2), of which glibc 2.36 knows nothing.
struct scheduling {
  std::uint32_t size = sizeof(scheduling);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

// By whoever has waited for the thread to begin: one that changed its own class could not say so
// before it runs again, which takes seconds where others keep the CPUs busy.
bool give_idle_class(std::uint32_t kernel_id) noexcept {
  if (base::injected_fault(base::faulty_call::idle_class) != 0) return false;
  sched_param none{};
  none.sched_priority = 0;
  return ::sched_setscheduler(static_cast<pid_t>(kernel_id), SCHED_IDLE, &none) == 0;
}

}  // namespace

// Since Linux 6.12 who wakes up with a shorter slice than the one who runs preempts it. Else the
// monitor waits for the kernel's tick where workers keep all CPUs busy, and hogs have 4 ms more. A
// standby keeps the slice in its class: where others keep its CPU busy, its turn comes after
// 100 us, and not 3 ms, of the 0.3 % of the time that it may have. A process that is killed ends
// with that turn (measured, a crash on two CPUs with four others that compute: 0.3 s, of 25 runs
// the longest 1.5 s; before 1.1 s and 7 s).
void many_to_many::vigil::want_short_slices() noexcept {
  const int saved = errno;
  scheduling wanted;
  // The thread keeps the niceness that it was made with.
  wanted.nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
  wanted.runtime = 100'000;  // sourced: the kernel's least, in nanoseconds
  ::syscall(SYS_sched_setattr, 0, &wanted, 0);
  errno = saved;
}

// Before any worker runs.
void many_to_many::vigil::open() noexcept {
  if (all.settings_.wanted == activation_level::off) {
    return give_up("switched off by the activation setting");
  }
  if (!base::prepare_heavy_fence()) return give_up("the kernel refuses membarrier()");
  posts = new (std::nothrow) post[all.width_];
  if (posts == nullptr) return give_up("no memory");
  for (unsigned i = 0; i < all.width_; ++i) {
    posts[i].home = this;
    posts[i].of = &all.processors_[i];
  }
  monitor_runs = base::start_kernel_thread(&vigil::monitor_main, this, &monitor_thread) == 0;
  if (!monitor_runs) return give_up("the monitor's kernel thread could not be started");
  // acquire: pairs with monitor_main(), publishes the report
  while (stage.load(base::acquire) == stage_opening) {
    base::futex_wait(stage, stage_opening, base::deadline::never());
  }
}

void many_to_many::vigil::begin() noexcept {
  stage.store(stage_watching, base::release);  // pairs with monitor_main()
  base::futex_wake(stage);
}

void many_to_many::vigil::give_up(const char* why) noexcept {
  all.report_.level = activation_level::off;
  all.report_.why_not_better = why;
}

// By the monitor's thread: what can be had.
void many_to_many::vigil::find_level() noexcept {
  if (base::leave_descriptors() != 0) {
    return give_up(
        "the kernel refuses a table of descriptors of the runtime's own (close_range())");
  }
  const activation_level wanted = all.settings_.wanted;
  // What a ring costs those who do not block: decision 0035. The first one of a machine takes 11 ms
  // besides, in which the kernel changes its scheduler's code.
  first_way = wanted == activation_level::perf ? activation_level::perf : activation_level::proc;
  blocked_probe tried;
  tried.begin();
  const activation_level found = tried.open(first_way);
  tried.close_file();
  if (found == activation_level::off) {
    return give_up("neither /proc/self/task/T/syscall nor perf_event_open() is allowed");
  }
  activation_report& report = all.report_;
  report.level = found;
  if (wanted == activation_level::monitor) {
    report.level = activation_level::monitor;
    report.why_not_better = "limited by the activation setting";
  } else if (tried.cpu() < 0) {
    report.level = activation_level::monitor;
    report.why_not_better = "libc registers no rseq area: where a worker runs is unknown";
  } else if (found != first_way) {
    report.why_not_better =
        found == activation_level::proc
            ? "perf_event_open() is refused (kernel.perf_event_paranoid above 2?)"
            : "/proc/self/task/T/syscall cannot be read";
  }
  if (report.level >= activation_level::proc && !open_standbys()) {
    close_standbys();
    report.level = activation_level::monitor;
    report.why_not_better = "the kernel refuses threads of class SCHED_IDLE";
  }
}

bool many_to_many::vigil::open_standbys() noexcept {
  for (unsigned i = 0; i < all.width_; ++i) {
    post& one = posts[i];
    // From the monitor's thread: the standbys have its descriptors.
    if (base::start_kernel_thread(&vigil::standby_main, &one, &one.kernel_thread) != 0)
      return false;
    one.runs = true;
  }
  bool usable = true;
  for (unsigned i = 0; i < all.width_; ++i) {
    base::atomic<std::uint32_t>& started = posts[i].started;
    // acquire: pairs with standby_main()
    while (started.load(base::acquire) == 0) {
      base::futex_wait(started, 0, base::deadline::never());
    }
    usable = usable && give_idle_class(started.load(base::relaxed));  // relaxed: loaded above
  }
  return usable;
}

void many_to_many::vigil::close_standbys() noexcept {
  closing.store(true, base::seq_cst);  // pairs with stand_by()
  for (unsigned i = 0; posts != nullptr && i < all.width_; ++i) {
    post& one = posts[i];
    if (!one.runs) continue;
    one.awake.store(1, base::release);  // pairs with park()
    base::futex_wake(one.awake);
    ::pthread_join(one.kernel_thread, nullptr);
    one.runs = false;
  }
  closing.store(false, base::relaxed);  // relaxed: the monitor may start after this
}

void many_to_many::vigil::close() noexcept {
  if (monitor_runs) {
    closing.store(true, base::seq_cst);  // pairs with monitor()
    begin();
    wake_monitor();
    ::pthread_join(monitor_thread, nullptr);
    monitor_runs = false;
  }
  close_standbys();
}

void many_to_many::vigil::wake_monitor() noexcept {
  dormant.store(0, base::seq_cst);
  bell.fetch_add(1, base::seq_cst);  // both: pair with the monitor's looks before it sleeps
  base::futex_wake(bell);
}

void* many_to_many::vigil::monitor_main(void* argument) {
  auto& mine = *static_cast<vigil*>(argument);
  want_short_slices();
  mine.find_level();
  mine.stage.store(stage_ready, base::release);  // pairs with open()
  base::futex_wake(mine.stage);
  // acquire: pairs with begin(), publishes the crew
  while (mine.stage.load(base::acquire) == stage_ready) {
    base::futex_wait(mine.stage, stage_ready, base::deadline::never());
  }
  if (mine.all.report_.level != activation_level::off) mine.monitor();
  return nullptr;
}

// By the monitor: members that have begun since the last look. One whose probe cannot be opened is
// tried again when it is in the way.
void many_to_many::vigil::open_probes() noexcept {
  const std::uint32_t size = all.crew_.size();
  while (members_met < size) {
    blocked_probe& next = all.crew_[members_met + 1].probe;
    if (!next.has_begun()) break;
    next.open(first_way);
    ++members_met;
  }
}

void many_to_many::vigil::monitor() noexcept {
  const bool without_standbys = all.report_.level < activation_level::proc;
  unsigned idle_looks = 0;
  std::int64_t busy_at = base::monotonic_now();
  std::uint64_t reliefs = 0;
  while (!closing.load(base::seq_cst)) {
    const std::uint32_t rung = bell.load(base::seq_cst);
    const std::int64_t now = base::monotonic_now();
    open_probes();
    pace fastest = pace::idle;
    next_slice_over = base::deadline::never().nanoseconds();
    all_nap = true;
    any_waits = false;
    for (unsigned i = 0; i < all.width_; ++i) {
      const pace one = look_at(posts[i], now);
      if (one > fastest) fastest = one;
    }
    if (all.report_.preempts && fastest != pace::idle) look_at_guests();
    idle_looks = fastest == pace::idle ? idle_looks + 1 : 0;
    const std::uint64_t relieved = all.reliefs_.load(base::relaxed);  // relaxed: a statistic
    if (!all_nap || relieved != reliefs) busy_at = now;
    reliefs = relieved;
    if (idle_looks > idle_looks_max) {
      sleep_till_stirred();
      idle_looks = 0;
      // What begins after a long pause may be anything.
      const std::int64_t stirred_at = base::monotonic_now();
      if (stirred_at - now > restful_after_nanoseconds) busy_at = stirred_at;
      continue;
    }
    const bool restful = !any_waits && now - busy_at > restful_after_nanoseconds;
    const std::int64_t span = restful                   ? restful_nanoseconds
                              : fastest == pace::steady ? steady_nanoseconds
                              : without_standbys        ? alone_nanoseconds
                                                        : hurried_nanoseconds;
    const std::int64_t next = next_slice_over < now + span ? next_slice_over : now + span;
    if (!closing.load(base::seq_cst)) base::futex_wait(bell, rung, base::deadline::at(next));
  }
}

void many_to_many::vigil::sleep_till_stirred() noexcept {
  const std::uint32_t rung = bell.load(base::seq_cst);
  // seq_cst: of us and a worker that gets up one sees the other
  dormant.store(1, base::seq_cst);
  if (all.idle_.all_asleep(all.width_) && !closing.load(base::seq_cst)) {
    base::futex_wait(bell, rung, base::deadline::never());
  }
  dormant.store(0, base::relaxed);  // relaxed: a stir too many does no harm
}

many_to_many::vigil::pace many_to_many::vigil::look_at(post& one, std::int64_t now) noexcept {
  processor& which = *one.of;
  const claim::seen seen = which.claim.look();
  const std::uint64_t sleeps = which.sleeps.get();
  const std::uint64_t naps = sleeps - one.sleeps;
  const bool has_napped = one.slept || naps != 0;
  one.sleeps = sleeps;
  one.slept = all.idle_.is_asleep(which.index);
  if (one.slept) {
    // Who sleeps for so short a time waits for whatever is begun in between, too.
    any_waits = any_waits || all.has_timer_before(which, now + hurried_nanoseconds);
    // Only a waker that found no time to go on leaves this to us.
    if (seen.state() == hold::released && all.has_work(which)) all.take_released(which, seen);
    // A server's processor is mostly found asleep, and would stir us again the next moment.
    return naps != 0 ? pace::hurried : pace::idle;
  }
  all_nap = all_nap && has_napped;
  bool hurried = false;
  // relaxed: a guess; the standby is in the futex or not
  if (one.runs && one.awake.load(base::relaxed) == 0) {
    hurried = true;  // it was idle a moment ago, and may be again
    if (naps <= naps_for_standby) {
      one.awake.store(1, base::release);  // pairs with park()
      base::futex_wake(one.awake);
    }
  }
  unsigned ticks = which.ticks.load(base::relaxed);  // relaxed: a hint
  if (ticks != one.ticks && ticks - one.ticks <= look_around_mask && all.is_overdue(which, now)) {
    hurry_look_around(which, ticks);
    ticks |= look_around_mask;
  }
  if (seen.word != one.word || ticks != one.ticks) {
    one.word = seen.word;
    one.ticks = ticks;
    one.since = now;
  }
  const bool waiting = all.somebody_waits(which, now + hurried_nanoseconds);
  hurried = hurried || waiting;
  any_waits = any_waits || waiting;
  const pace result = hurried ? pace::hurried : pace::steady;
  if (seen.state() == hold::released && seen.reserve() == 0) all.adopt_orphans();
  if (seen.state() != hold::held) return result;
  crew_member& holder = all.crew_[seen.holder()];
  // acquire: as any taker's look; relief() looks again, after a fence
  if (holder.inside.load(base::acquire) != 0) return result;
  if (!holder.probe.is_open() && holder.probe.has_begun()) holder.probe.open(first_way);
  const bool unseen = !holder.probe.is_open() && waiting && now - one.since >= unseen_nanoseconds;
  if (holder.probe.is_blocked() || unseen) {
    all_nap = false;
    const bool alerted = which.alerted.load(base::relaxed);  // relaxed: a guess
    if (all.has_work(which) || now != one.since) {
      const bool again = alerted && one.alerted && now != one.since;
      if (!all.call_relief(which, holder, again, -1)) all.relieve_by_preempted(which);
    }
    one.alerted = alerted;
    return result;
  }
  one.alerted = false;
  if (waiting && all.report_.preempts) {
    all_nap = all_nap && now - one.since < seen_late_nanoseconds;
    const std::int64_t due = one.since + arms_after();
    if (now >= due) {
      all.arm_slice_timer(holder, seen.word, ticks);
    } else if (due < next_slice_over) {
      next_slice_over = due;
    }
  }
  return result;
}

// How long a thread has been seen to run when its timer is armed: the kernel takes a tick to look.
std::int64_t many_to_many::vigil::arms_after() const noexcept {
  const std::int64_t span =
      all.settings_.slice_nanoseconds - all.tick_nanoseconds_ - seen_late_nanoseconds;
  return span > seen_late_nanoseconds ? span : seen_late_nanoseconds;
}

// Threads that came back from the kernel and compute without a processor: they make more threads
// run than the width, and must queue.
void many_to_many::vigil::look_at_guests() noexcept {
  // Guess: a look takes a cache miss a member; with hundreds of them the round takes some looks.
  constexpr std::uint32_t looks = 32;
  const std::uint32_t size = all.crew_.size();
  // relaxed: a guess
  const std::size_t known =
      all.width_ + all.crew_.counters().spares + all.preempted_count_.load(base::relaxed);
  if (size <= known) return;
  for (std::uint32_t i = 0; i < looks && i < size; ++i) {
    next_guest = next_guest % size + 1;
    crew_member& one = all.crew_[next_guest];
    if (one.inside.load(base::acquire) != 0 || is_holder(one.number)) continue;  // as above
    if (!one.probe.is_blocked()) all.arm_slice_timer(one, 0, 0);
  }
}

bool many_to_many::vigil::is_holder(std::uint32_t number) const noexcept {
  for (unsigned i = 0; i < all.width_; ++i) {
    if (all.processors_[i].claim.look().holder() == number) return true;
  }
  return false;
}

}  // namespace treadle::core
