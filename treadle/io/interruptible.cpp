#include "treadle/io/interruptible.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "treadle/base/free_signal.hpp"
#include "treadle/io/blocking_pool.hpp"
#include "treadle/io/handover.hpp"
#include "treadle/io/park.hpp"

namespace treadle::io {
namespace {

// Guess: a ready call and its hand-over take less, and who waits for its end does not notice.
constexpr std::int64_t round_nanoseconds = 1'000'000;
// Guess: a kernel thread that exists begins sooner, however busy the machine is.
constexpr unsigned queue_rounds_max = 2000;

// As many kernel threads as there may be at all: a call in the queue would wait for strangers'
// terminals.
blocking_pool& pool_of_waits() noexcept {
  alignas(blocking_pool) static std::byte memory[sizeof(blocking_pool)];
  static auto* pool = ::new (memory) blocking_pool(blocking_threads_max);
  return *pool;
}

// 0 when the program has taken them all: then calls end by themselves only. Without SA_RESTART.
int interrupting_signal() noexcept {
  static const int number = base::claim_free_signal([](int, siginfo_t*, void*) {}, 0);
  return number;
}

// While a call is made: the signals that it must not miss. With these two blocked a job in the
// background would write to a terminal that was told not to let it, and be refused to read.
class open_signals {
 public:
  open_signals() noexcept {
    sigset_t opened;
    ::sigemptyset(&opened);
    ::sigaddset(&opened, SIGTTOU);
    ::sigaddset(&opened, SIGTTIN);
    if (const int ours = interrupting_signal()) ::sigaddset(&opened, ours);
    ::pthread_sigmask(SIG_UNBLOCK, &opened, &before_);
  }
  ~open_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  open_signals(const open_signals&) = delete;
  open_signals& operator=(const open_signals&) = delete;

 private:
  sigset_t before_{};
};

// On the caller's stack.
struct running_call : blocking_request {
  running_call(ssize_t (*what)(void*), void* with, core::thread& who) noexcept
      : blocking_request(&running_call::run_one), call(what), closure(with), waiter(&who) {}

  static void run_one(blocking_request& request) noexcept {
    auto& mine = static_cast<running_call&>(request);
    core::thread& who = *mine.waiter;
    mine.set_kernel_thread(::gettid());
    {
      const open_signals open;
      do {
        mine.result = mine.call(mine.closure);
        // relaxed: who sees it late is interrupted once more
      } while (mine.result == -EINTR && !mine.must_end.load(base::relaxed));
    }
    mine.set_kernel_thread(0);
    // The waiter never gives up.
    if (mine.state.complete()) core::scheduler_port::unpark(who);
  }

  void set_kernel_thread(pid_t number) noexcept {
    const base::guard hold(lock);
    kernel_thread = number;
  }

  // Not the one who has just begun: it may still do what needs no waiting. Under the lock, so that
  // the kernel thread is in this call, and no later one is interrupted.
  void interrupt() noexcept {
    const base::guard hold(lock);
    if (kernel_thread == 0 || !std::exchange(seen_running, true)) return;
    if (const int ours = interrupting_signal()) {
      ::syscall(SYS_tgkill, ::getpid(), kernel_thread, ours);
    }
  }

  // Fixed after submit.
  ssize_t (*const call)(void*);
  void* const closure;
  core::thread* const waiter;
  // Guarded by lock.
  base::spin_lock lock;
  pid_t kernel_thread = 0;  // that makes the call now
  bool seen_running = false;
  // Atomic.
  base::atomic<bool> must_end{false};
  handover state;
  // Published by state.
  ssize_t result = -EINTR;
};

// Whether the descriptor is closed meanwhile. Waits in its list for that alone, and for hang-ups,
// which the call itself will see.
class close_watch {
 public:
  close_watch(const call_target* target, core::thread& self) noexcept : target_(target) {
    node_.who = &self;
    node_.wanted = descriptor::unusual;
  }
  ~close_watch() {
    if (queued_) target_->which->give_up(node_);
  }
  close_watch(const close_watch&) = delete;
  close_watch& operator=(const close_watch&) = delete;

  bool has_closed() noexcept {
    while (target_ != nullptr && !closed_) {
      // acquire: pairs with taken_threads::end()
      const wait_outcome outcome = node_.outcome.load(base::acquire);
      if (queued_ && outcome == wait_outcome::waiting) break;
      closed_ = queued_ && outcome == wait_outcome::closed;
      queued_ = !closed_ && enlist(*target_, node_, nullptr) == 0;
      closed_ = !queued_;
    }
    return closed_;
  }

 private:
  const call_target* const target_;
  descriptor_waiter node_;
  bool queued_ = false;
  bool closed_ = false;
};

// Afterwards it is over, with a result.
void end_now(running_call& mine, core::thread& self) noexcept {
  mine.must_end.store(true, base::relaxed);  // relaxed: see run_one()
  for (unsigned round = 0; !mine.state.is_done(); ++round) {
    mine.interrupt();
    const auto until = base::deadline::at(base::monotonic_now() + round_nanoseconds);
    while (!mine.state.is_done() && !until.has_passed()) {
      static_cast<void>(self.scheduler->park(core::wait_reason::io, until));
    }
    if (round >= queue_rounds_max && pool_of_waits().withdraw(mine)) return;
  }
}

}  // namespace

ssize_t call_interruptibly(ssize_t (*call)(void* closure), void* closure, const call_target* target,
                           const base::wait_limit& limit) noexcept {
  const int before = own_errno();
  core::thread& self = core::current_thread();
  close_watch watch(target, self);
  running_call mine(call, closure, self);
  pool_of_waits().submit(mine);
  const wait_end how =
      park_until(self, limit, [&] { return mine.state.is_done() || watch.has_closed(); });
  if (!mine.state.is_done()) end_now(mine, self);
  own_errno() = before;
  if (mine.result != -EINTR) return mine.result;
  return how == wait_end::done ? -EBADF : -error_of(how);
}

}  // namespace treadle::io
