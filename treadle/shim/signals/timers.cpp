#include "treadle/shim/signals/timers.hpp"

#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/base/spin_lock.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/signals/attendant.hpp"

namespace treadle::shim {
namespace {

// Guess: more than any program has; the next gets EAGAIN, as at the kernel's own limit.
constexpr int timers_max = 1024;

struct entry {
  int timer = -1;
  int thread = 0;  // 0: free; nobody: deleted, and its last signal may be on its way
};

struct timer_book {
  base::spin_lock lock;
  // Guarded by lock. Those behind `used` have never been used.
  entry all[timers_max];
  int used = 0;
  int next = 0;  // where the next place for deleted ones is looked for

  entry* find(int timer) noexcept {
    for (int i = 0; i < used; ++i) {
      if (all[i].thread != 0 && all[i].timer == timer) return &all[i];
    }
    return nullptr;
  }
  // Places of deleted ones are used again as late as can be.
  entry* find_free() noexcept {
    if (used < timers_max) return &all[used++];
    for (int i = 0; i < timers_max; ++i) {
      next = (next + 1) % timers_max;
      if (all[next].thread <= 0) return &all[next];
    }
    return nullptr;
  }
};
constinit timer_book book;

// The overrun of a timer's signal that was taken last, by the timer's number. One that another has
// pushed out is asked of the kernel, who knows of the last expiry only.
struct overrun_note {
  base::atomic<int> timer{-1};
  base::atomic<int> count{0};
};
constinit overrun_note overruns[timers_max];

overrun_note& note_of(int timer) noexcept {
  return overruns[static_cast<unsigned>(timer) % timers_max];
}

}  // namespace

void note_overrun(int timer, int count) noexcept {
  overrun_note& note = note_of(timer);
  // relaxed, both: for the thread that has taken the signal
  note.count.store(count, base::relaxed);
  note.timer.store(timer, base::relaxed);
}

long serve_timer_settime(saved_call& call) noexcept {
  const long error = pass_on(call);
  if (error == 0) note_overrun(static_cast<int>(call.arguments[0]), 0);
  return error;
}

long serve_timer_getoverrun(saved_call& call) noexcept {
  const long of_kernel = pass_on(call);
  if (of_kernel < 0) return of_kernel;
  const overrun_note& note = note_of(static_cast<int>(call.arguments[0]));
  // relaxed, both: see note_overrun()
  const bool is_noted = note.timer.load(base::relaxed) == static_cast<int>(call.arguments[0]);
  return is_noted ? note.count.load(base::relaxed) : of_kernel;
}

long serve_timer_create(saved_call& call) noexcept {
  sigevent changed;
  const bool is_asked = call.arguments[1] != 0;
  if (is_asked && !read_program(call.arguments[1], changed)) return -EFAULT;
  if (!is_asked || changed.sigev_notify != SIGEV_THREAD_ID) {
    const base::guard hold(book.lock);
    const long error = pass_on(call);
    // The number may have been that of a deleted one.
    int made = -1;
    if (error == 0 && read_program(call.arguments[2], made)) {
      if (entry* old = book.find(made)) *old = {};
    }
    return error;
  }
  const int thread = changed._sigev_un._tid;
  {
    const base::guard hold(threads().lock);
    if (threads().find(thread) == nullptr) return -EINVAL;
  }
  changed._sigev_un._tid = attendant_number();
  int made = -1;
  // The lock until it is in the book: it may expire at once.
  const base::guard hold(book.lock);
  entry* const place = book.find_free();
  if (place == nullptr) return -EAGAIN;
  long error = kernel_call(SYS_timer_create, call.arguments[0], &changed, &made);
  if (error == 0 && !write_program(call.arguments[2], made)) {
    kernel_call(SYS_timer_delete, made);
    error = -EFAULT;
  }
  if (error != 0) return *place = {}, error;
  if (entry* old = book.find(made)) *old = {};
  *place = {made, thread};
  return 0;
}

long serve_timer_delete(saved_call& call) noexcept {
  const int timer = static_cast<int>(call.arguments[0]);
  const base::guard hold(book.lock);
  const long error = pass_on(call);
  if (error != 0) return error;
  if (entry* deleted = book.find(timer)) deleted->thread = nobody;
  return 0;
}

int thread_of_timer(int timer) noexcept {
  const base::guard hold(book.lock);
  const entry* found = book.find(timer);
  return found != nullptr ? found->thread : 0;
}

}  // namespace treadle::shim
