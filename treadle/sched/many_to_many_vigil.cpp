// Opening and closing of the vigil.
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
#include "treadle/context/stack_surplus.hpp"

namespace treadle::core {
namespace {

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
// So that it can end soon where others keep its CPU busy (measured, two CPUs with a dozen who
// compute: a runtime took 1 to 5 s to close, one in 150 times). The kernel refuses that without
// CAP_SYS_NICE or an RLIMIT_NICE of 20, and then it ends when it has a turn.
void leave_idle_class(std::uint32_t kernel_id) noexcept {
  const int saved = errno;
  sched_param none{};
  none.sched_priority = 0;
  static_cast<void>(::sched_setscheduler(static_cast<pid_t>(kernel_id), SCHED_OTHER, &none));
  errno = saved;
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
  const unsigned count = posts != nullptr ? all.width_ : 0;
  for (unsigned i = 0; i < count; ++i) {
    post& one = posts[i];
    if (!one.runs) continue;
    // acquire: pairs with standby_main(); where the next one could not be started nobody has waited
    const std::uint32_t kernel_id = one.started.load(base::acquire);
    if (kernel_id != 0) leave_idle_class(kernel_id);
    wake_standby(one);
  }
  for (unsigned i = 0; i < count; ++i) {
    post& one = posts[i];
    if (!one.runs) continue;
    ::pthread_join(one.kernel_thread, nullptr);
    one.runs = false;
  }
  closing.store(false, base::relaxed);  // relaxed: the monitor may start after this
}

void many_to_many::vigil::close() noexcept {
  if (monitor_runs) {
    closing.store(true, base::seq_cst);  // pairs with monitor()
    begin();
    bell.ring();
    ::pthread_join(monitor_thread, nullptr);
    monitor_runs = false;
  }
  close_standbys();
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
  if (mine.all.report_.level != activation_level::off) {
    context::begin_keeping();
    mine.monitor();
    context::end_keeping();
  }
  return nullptr;
}

}  // namespace treadle::core
