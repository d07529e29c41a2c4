#include "treadle/shim/threads/order.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <cerrno>
#include <cstring>

#include "treadle/base/spin_lock.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/say.hpp"
#include "treadle/shim/signals/signal_actions.hpp"

namespace treadle::shim {
namespace {

// Guess: several times what the runtime makes at most (512 workers in reserve).
constexpr unsigned kernel_threads_max = 4096;
// Guess: one that ends instead of answering is noticed so much later.
constexpr timespec look_again{0, 10'000'000};

struct board {
  base::spin_lock lock;
  // Guarded by lock, but for the one whose turn it is.
  const saved_call* call = nullptr;
  long result = 0;
  // The kernel's number of whose turn it is; a futex, 0 when it has made the call.
  base::atomic<std::uint32_t> turn{0};
  // Guarded by lock: who has made it.
  int done[kernel_threads_max] = {};
  unsigned done_count = 0;

  bool has_done(int number) const noexcept {
    for (unsigned i = 0; i < done_count; ++i) {
      if (done[i] == number) return true;
    }
    return false;
  }
  void note(int number) noexcept {
    if (done_count == kernel_threads_max) {
      fail("too many kernel threads for a change of privileges: more than ", kernel_threads_max);
    }
    done[done_count++] = number;
  }
};
constinit board orders;

// /proc/self/task: a program may have changed its root since, and not see /proc any more.
constinit int tasks = -1;
constinit struct stat tasks_then {};

int open_tasks() noexcept {
  return static_cast<int>(
      kernel_call(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void on_order(int, siginfo_t*, void*) noexcept {
  const auto own = static_cast<std::uint32_t>(kernel_call(SYS_gettid));
  // acquire: pairs with ask(); a signal of somebody else's means nothing
  if (orders.turn.load(base::acquire) != own) return;
  orders.result = pass_on(*orders.call);
  orders.turn.store(0, base::release);  // pairs with ask()
  kernel_call(SYS_futex, &orders.turn, FUTEX_WAKE_PRIVATE, 1);
}

// With the lock held, as all that follow. The result, or 0 of one that has ended.
long ask(int process, int number) noexcept {
  const auto turn = static_cast<std::uint32_t>(number);
  orders.result = 0;
  orders.turn.store(turn, base::release);  // pairs with on_order()
  long sent;
  // Sourced: tgkill(2), EAGAIN when too many signals are queued.
  while ((sent = kernel_call(SYS_tgkill, process, number, order_signal)) == -EAGAIN) {
    kernel_call(SYS_sched_yield);
  }
  // acquire: pairs with on_order()
  while (sent == 0 && orders.turn.load(base::acquire) != 0) {
    kernel_call(SYS_futex, &orders.turn, FUTEX_WAIT_PRIVATE, turn, &look_again);
    sent = kernel_call(SYS_tgkill, process, number, 0);
  }
  return orders.turn.exchange(0, base::acq_rel) == 0 ? orders.result : 0;
}

// Kernel threads that work for io_uring run no code of the program's and take no signals: what they
// do has the privileges of who asked for it.
bool works_for_kernel(int directory, const char* name) noexcept {
  constexpr unsigned long io_worker = 0x10;  // sourced: PF_IO_WORKER
  char path[32];
  std::strcpy(path, name);
  std::strcat(path, "/stat");
  const long file = kernel_call(SYS_openat, directory, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[512];
  const long size = kernel_call(SYS_read, file, text, sizeof(text) - 1);
  kernel_call(SYS_close, file);
  if (size <= 0) return false;
  text[size] = '\0';
  const char* at = std::strrchr(text, ')');
  // Sourced: proc(5), the flags are the ninth field, the name in brackets the second.
  for (int field = 2; at != nullptr && field < 9; ++field) at = std::strchr(at + 1, ' ');
  if (at == nullptr) return false;
  unsigned long flags = 0;
  while (*++at >= '0' && *at <= '9') flags = flags * 10 + static_cast<unsigned long>(*at - '0');
  return (flags & io_worker) != 0;
}

// Asks everybody in the directory who has not been asked. True when there was one.
bool ask_all_of(int directory, int process) noexcept {
  alignas(8) char entries[2048];
  bool found = false;
  kernel_call(SYS_lseek, directory, 0, SEEK_SET);
  long bytes;
  while ((bytes = kernel_call(SYS_getdents64, directory, entries, sizeof(entries))) > 0) {
    for (long at = 0; at < bytes;) {
      // Sourced: getdents64(2), the size of an entry and where its name is.
      unsigned short size;
      std::memcpy(&size, entries + at + 16, sizeof(size));
      const char* const name = entries + at + 19;
      at += size;
      int number = 0;
      for (const char* digit = name; *digit >= '0' && *digit <= '9'; ++digit) {
        number = number * 10 + (*digit - '0');
      }
      if (number == 0 || orders.has_done(number)) continue;
      orders.note(number);
      if (works_for_kernel(directory, name)) continue;
      found = true;
      // Where it has ended it keeps nothing.
      if (const long error = ask(process, number); error < 0) {
        fail("a change of privileges that one kernel thread has made is refused to another: error ",
             -error);
      }
    }
  }
  if (bytes < 0) fail("/proc/self/task cannot be read to change privileges: error ", -bytes);
  return found;
}

bool is_still_open() noexcept {
  struct stat now {};
  return tasks >= 0 && kernel_call(SYS_fstat, tasks, &now) == 0 &&
         now.st_dev == tasks_then.st_dev && now.st_ino == tasks_then.st_ino;
}

}  // namespace

void open_orders() noexcept {
  const int low = open_tasks();
  if (low < 0) return;
  tasks = base::duplicate_high(low);
  if (tasks >= 0) kernel_call(SYS_close, low);
  if (tasks < 0) tasks = low;
  kernel_call(SYS_fstat, tasks, &tasks_then);
}

void close_orders() noexcept {
  if (tasks >= 0) kernel_call(SYS_close, tasks);
  tasks = -1;
}

void prepare_orders() noexcept {
  const kernel_action action{reinterpret_cast<void*>(&on_order),
                             SA_SIGINFO | SA_RESTART | has_restorer,
                             reinterpret_cast<void*>(&treadle_shim_restorer), ~std::uint64_t{0}};
  take_from_program(order_signal, action);
}

long order_all(const saved_call& call) noexcept {
  const base::guard hold(orders.lock);
  const long result = pass_on(call);
  if (result < 0) return result;
  // The program may have closed it.
  const bool kept = is_still_open();
  const int directory = kept ? tasks : open_tasks();
  if (directory < 0) {
    fail("without /proc not every kernel thread can change its privileges: error ", -directory);
  }
  orders.call = &call;
  orders.done_count = 0;
  orders.note(static_cast<int>(kernel_call(SYS_gettid)));
  const int process = static_cast<int>(kernel_call(SYS_getpid));
  while (ask_all_of(directory, process)) {
  }
  if (!kept) kernel_call(SYS_close, directory);
  return result;
}

long order_first(const saved_call& call) noexcept {
  const base::guard hold(orders.lock);
  orders.call = &call;
  const int process = static_cast<int>(kernel_call(SYS_getpid));
  return ask(process, process);
}

}  // namespace treadle::shim
