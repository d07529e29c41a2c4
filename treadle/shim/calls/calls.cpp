#include "treadle/shim/calls/calls.hpp"

#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/shim/calls/children.hpp"
#include "treadle/shim/calls/descriptors.hpp"
#include "treadle/shim/calls/identity.hpp"
#include "treadle/shim/calls/processes.hpp"
#include "treadle/shim/calls/sleeping.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/pure.hpp"
#include "treadle/shim/signals/signal_descriptors.hpp"
#include "treadle/shim/signals/signals.hpp"
#include "treadle/shim/signals/timers.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/cpu_time.hpp"
#include "treadle/shim/threads/futexes.hpp"
#include "treadle/shim/threads/many_futexes.hpp"
#include "treadle/shim/threads/name_files.hpp"
#include "treadle/shim/threads/privileges.hpp"
#include "treadle/shim/threads/program_thread.hpp"
#include "treadle/shim/threads/threads.hpp"
#include "treadle/thread/current.hpp"

namespace treadle::shim {
namespace {

using served = long (*)(saved_call& call) noexcept;

void give_way(program_thread& self) noexcept {
  self.slice_is_over.store(false, base::relaxed);  // relaxed: our own
  ++self.turns;
  core::current_thread_or_null()->scheduler->yield();
}

long serve_yield(saved_call& call) noexcept {
  give_way(*call.caller);
  return 0;
}

long serve_fcntl(saved_call& call) noexcept {
  const bool waits = call.arguments[1] == F_SETLKW || call.arguments[1] == F_OFD_SETLKW;
  return waits ? pass_on_blocking(call) : pass_on(call);
}

long serve_look(saved_call&) noexcept { return 0; }

// Back to the control words of before the handler.
long serve_handler_end(saved_call& call) noexcept {
  seat_in_gs()->sets_control = seat::yes;
  return serve_end_of_handler(call);
}

long serve_exit_of_process(saved_call& call) noexcept { serve_exit_group(call); }

// Sourced: the numbers are those of x86-64; the largest that we know is clone3's.
constexpr int table_size = 512;

struct call_table {
  served of[table_size] = {};
  // Answered by the runtime alone; where a thread waits, its worker may still go to sleep.
  bool spares_kernel[table_size] = {};
  // The thread stays on its kernel thread, and nobody else comes there meanwhile.
  bool stays[table_size] = {};

  constexpr explicit call_table(bool is_pure) noexcept {
    of[SYS_futex] = serve_futex;
    of[SYS_futex_waitv] = serve_futex_waitv;
    of[SYS_sched_yield] = serve_yield;
    of[SYS_clone] = of[SYS_clone3] = serve_clone;
    of[SYS_fork] = of[SYS_vfork] = serve_fork;
    of[SYS_execve] = of[SYS_execveat] = serve_exec;
    of[SYS_exit] = serve_exit;
    of[SYS_exit_group] = serve_exit_of_process;
    of[SYS_nanosleep] = of[SYS_clock_nanosleep] = serve_sleep;
    add_identity();
    add_signals();
    add_descriptors();
    for (const int spared :
         {SYS_futex, SYS_sched_yield, SYS_nanosleep, SYS_clock_nanosleep, SYS_gettid,
          SYS_set_robust_list, SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_sigaltstack}) {
      spares_kernel[spared] = true;
    }
    stays[SYS_futex] = true;  // when it waits it saves them itself
    for (const int staying : {SYS_gettid, SYS_set_robust_list, SYS_rt_sigprocmask,
                              SYS_rt_sigpending, SYS_sigaltstack}) {
      stays[staying] = true;
    }
    for (const int blocking :
         {SYS_creat,    SYS_flock,           SYS_fsync,           SYS_fdatasync,  SYS_sync,
          SYS_syncfs,   SYS_connect,         SYS_semop,           SYS_semtimedop, SYS_msgsnd,
          SYS_msgrcv,   SYS_mq_timedreceive, SYS_io_getevents,    SYS_splice,     SYS_sendfile,
          SYS_tee,      SYS_copy_file_range, SYS_sync_file_range, SYS_getrandom,  SYS_sendmmsg,
          SYS_recvmmsg, SYS_ioctl,           SYS_preadv2,         SYS_pwritev2}) {
      of[blocking] = pass_on_blocking_call;
    }
    for (const int blocking : {SYS_openat2, SYS_open_by_handle_at, SYS_vmsplice, SYS_msync}) {
      of[blocking] = pass_on_blocking_call;
    }
    of[SYS_open] = of[SYS_openat] = serve_open;
    if (is_pure) serve_purely_what_blocks();
  }
  constexpr void add_identity() noexcept {
    of[SYS_gettid] = serve_gettid;
    of[SYS_set_tid_address] = serve_set_tid_address;
    of[SYS_set_robust_list] = serve_set_robust_list;
    of[SYS_get_robust_list] = serve_get_robust_list;
    of[SYS_rseq] = serve_rseq;
    of[SYS_prctl] = serve_prctl;
    of[SYS_arch_prctl] = serve_arch_prctl;
    for (const int one : {SYS_sched_setaffinity, SYS_sched_getaffinity, SYS_sched_setscheduler,
                          SYS_sched_getscheduler, SYS_sched_setparam, SYS_sched_getparam,
                          SYS_sched_setattr, SYS_sched_getattr, SYS_sched_rr_get_interval}) {
      of[one] = serve_scheduling;
    }
    of[SYS_getpriority] = of[SYS_setpriority] = serve_niceness;
    of[SYS_clock_gettime] = of[SYS_clock_getres] = serve_clock;
    for (const int one : {SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid,
                          SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_capset}) {
      of[one] = serve_privileges;
    }
    of[call_slot(call_raw_privileges)] = serve_raw_privileges;
    of[SYS_unshare] = of[SYS_setns] = serve_namespace;
    of[SYS_ptrace] = serve_tracing;
    of[SYS_seccomp] = serve_refused_privileges;
    of[SYS_timer_create] = serve_timer_create;
    of[SYS_timer_delete] = serve_timer_delete;
    of[SYS_timer_settime] = serve_timer_settime;
    of[SYS_timer_getoverrun] = serve_timer_getoverrun;
  }
  constexpr void add_signals() noexcept {
    of[call_slot(call_end_of_handler)] = serve_handler_end;
    of[SYS_rt_sigaction] = serve_sigaction;
    of[SYS_rt_sigprocmask] = serve_sigprocmask;
    of[SYS_rt_sigpending] = serve_sigpending;
    of[SYS_rt_sigtimedwait] = serve_sigtimedwait;
    of[SYS_rt_sigsuspend] = serve_sigsuspend;
    of[SYS_pause] = serve_pause;
    of[SYS_sigaltstack] = serve_sigaltstack;
    of[SYS_kill] = of[SYS_tkill] = of[SYS_tgkill] = serve_kill;
    of[SYS_rt_sigqueueinfo] = of[SYS_rt_tgsigqueueinfo] = serve_kill;
    of[SYS_pidfd_send_signal] = serve_sending_by_descriptor;
    of[SYS_mq_notify] = serve_queue_notice;
    of[SYS_mq_timedsend] = serve_queue_send;
    of[SYS_signalfd] = of[SYS_signalfd4] = serve_signal_descriptor;
    of[call_slot(call_trapped_clone)] = serve_trapped_clone;
    of[call_slot(call_look)] = serve_look;
  }
  constexpr void add_descriptors() noexcept {
    of[SYS_read] = of[SYS_readv] = serve_read;
    of[SYS_write] = of[SYS_writev] = serve_write;
    of[SYS_recvfrom] = of[SYS_recvmsg] = serve_receive;
    of[SYS_sendto] = of[SYS_sendmsg] = serve_send;
    of[SYS_accept] = of[SYS_accept4] = serve_accept;
    of[SYS_poll] = of[SYS_ppoll] = serve_poll;
    of[SYS_select] = of[SYS_pselect6] = serve_select;
    of[SYS_epoll_wait] = of[SYS_epoll_pwait] = of[SYS_epoll_pwait2] = serve_epoll_wait;
    of[SYS_io_uring_enter] = serve_ring;
    of[SYS_close] = of[SYS_dup2] = of[SYS_dup3] = of[SYS_close_range] = serve_close;
    of[SYS_fcntl] = serve_fcntl;
    of[SYS_wait4] = of[SYS_waitid] = serve_wait_for_child;
  }
  // Where a call brings a mask, others wait for it as ever: the kernel would open its own thread to
  // signals.
  constexpr void serve_purely_what_blocks() noexcept {
    for (served& one : of) {
      if (one == pass_on_blocking_call) one = serve_purely;
    }
    for (const int waits :
         {SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_recvfrom, SYS_recvmsg, SYS_sendto,
          SYS_sendmsg, SYS_accept, SYS_accept4, SYS_poll, SYS_select, SYS_epoll_wait, SYS_nanosleep,
          SYS_clock_nanosleep, SYS_wait4, SYS_waitid, SYS_mq_timedsend}) {
      of[waits] = serve_purely;
    }
    for (const int waits : {SYS_ppoll, SYS_pselect6, SYS_epoll_pwait, SYS_epoll_pwait2}) {
      of[waits] = serve_purely_without_mask;
    }
  }
  static long serve_purely_without_mask(saved_call& call) noexcept;
  static long pass_on_blocking_call(saved_call& call) noexcept { return pass_on_blocking(call); }

  // The door's own numbers lie behind all of the kernel's.
  static constexpr int call_slot(long own_number) noexcept {
    return table_size - 1 - static_cast<int>(own_number - call_end_of_handler);
  }
  served find(std::int64_t number) const noexcept {
    if (number >= 0 && number <= call_slot(call_last) - 1) return of[number];
    if (number >= call_end_of_handler && number <= call_last) return of[call_slot(number)];
    return nullptr;
  }
};

constexpr call_table table(false);
constexpr call_table pure_table(true);
// Fixed once threads run.
constinit const call_table* in_force = &table;

// pselect6() brings its mask as a pair of address and size.
bool brings_mask(const saved_call& call) noexcept {
  std::uint64_t pair[2] = {};
  switch (call.number) {
    case SYS_ppoll:
      return call.arguments[3] != 0;
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
      return call.arguments[4] != 0;
    default:
      return call.arguments[5] != 0 && read_program(call.arguments[5], pair) && pair[0] != 0;
  }
}

long call_table::serve_purely_without_mask(saved_call& call) noexcept {
  return brings_mask(call) ? table.find(call.number)(call) : serve_purely(call);
}

}  // namespace

void serve_all_purely() noexcept { in_force = &pure_table; }

long pass_on(const saved_call& call) noexcept {
  return kernel_call(call.number, call.arguments[0], call.arguments[1], call.arguments[2],
                     call.arguments[3], call.arguments[4], call.arguments[5]);
}

long pass_on_blocking(const saved_call& call) noexcept {
  program_thread& self = *call.caller;
  long result = -EINTR;
  // One who was told of a signal that is not for it after all has not been interrupted.
  while (result == -EINTR) {
    self.in_kernel.store(true, base::relaxed);  // relaxed: the fence orders it
    program_thread::before_look();
    const bool waits = self.deliverable() == 0;
    if (waits) {
      core::scheduler_port& scheduler = *core::current_thread_or_null()->scheduler;
      scheduler.enter_blocking();
      result = pass_on(call);
      core::current_thread_or_null()->scheduler->leave_blocking();
    }
    self.in_kernel.store(false, base::relaxed);  // relaxed: one reminder too many is no harm
    if (!waits) return begin_again;
    if (self.deliverable() != 0) break;
  }
  return result;
}

way way_of(long number) noexcept {
  // Who makes a child, or changes one thread's privileges, is to be seen with all registers.
  if (number == SYS_clone || number == SYS_clone3 || number == SYS_fork || number == SYS_vfork ||
      number == SYS_rt_sigreturn || changes_privileges(number)) {
    return way::trap;
  }
  return table.find(number) == nullptr ? way::straight : way::door;
}

long serve(saved_call& call) noexcept {
  call.caller->last_call = call.number;
  const served answer = in_force->find(call.number);
  if (answer == nullptr) return pass_on(call);
  const bool is_own = call.number >= table_size;
  if (is_own || !table.stays[call.number]) save_control(call);
  if (!is_own && table.spares_kernel[call.number]) count_avoided();
  return answer(call);
}

}  // namespace treadle::shim

extern "C" void treadle_shim_serve(treadle::shim::saved_call* call) noexcept {
  using namespace treadle::shim;  // the door's, whose names are C's
  if (!in_use()) [[unlikely]] {
    // The first creation of a thread. If that comes back, the kernel creates it.
    save_control(*call);
    take_over(*call);
    call->arguments[5] = call->return_address;
    call->return_address = reinterpret_cast<std::uint64_t>(&treadle_shim_once_more);
    return;
  }
  note_call(*call->caller);
  call->number = serve(*call);
}

extern "C" void treadle_shim_take_seat(treadle::shim::saved_call* where) noexcept {
  using namespace treadle::shim;
  if (!in_use()) [[unlikely]] {
    set_seat_in_gs(&treadle_shim_outside);
    return;
  }
  program_thread& self = *where->caller;
  seat* mine = nullptr;
  for (;;) {
    mine = &own_seat();
    mine->side_stack = where + 1;
    // relaxed, all: the fence orders them. Where nothing changes senders know it already.
    if (self.under.load(treadle::base::relaxed) != mine ||
        mine->occupant.load(treadle::base::relaxed) != &self) {
      mine->occupant.store(&self, treadle::base::relaxed);
      // release: pairs with nudge(), publishes the seat
      self.under.store(mine, treadle::base::release);
      mine->sets_control = seat::yes;
    }
    mine->looks_again = seat::no;
    // relaxed: the nudge that comes with it orders it
    if (self.slice_is_over.load(treadle::base::relaxed)) [[unlikely]] {
      if (mine->sets_control == seat::no) save_control(*where);
      give_way(self);
      continue;
    }
    program_thread::before_look();
    // What comes after this look is told to this kernel thread.
    while (self.deliverable() != 0 || self.restores_mask) [[unlikely]] {
        // Where it has stayed, the kernel thread has them still.
        if (mine->sets_control == seat::no) save_control(*where);
        deliver(*where);
      }
    if (where->number != begin_again) [[likely]]
      break;
    if (mine->sets_control == seat::yes) load_control(*where);
    mine->sets_control = seat::no;
    where->number = self.last_call;
    where->number = serve(*where);
  }
  mine->mask = self.mask.load(treadle::base::relaxed);  // relaxed: our own
  note_return(self, *mine);
  mine->program_pointer = where->thread_pointer;
  mine->selector = seat::block;
}
