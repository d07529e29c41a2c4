#include "treadle/shim/takeover.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <cstring>
#include <exception>

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/runtime.hpp"
#include "treadle/sched/join.hpp"
#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/calls/identity.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/door/patch.hpp"
#include "treadle/shim/door/trap.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/say.hpp"
#include "treadle/shim/signals/attendant.hpp"
#include "treadle/shim/signals/nudge.hpp"
#include "treadle/shim/signals/sending.hpp"
#include "treadle/shim/signals/signal_actions.hpp"
#include "treadle/shim/signals/signal_descriptors.hpp"
#include "treadle/shim/signals/signal_set.hpp"
#include "treadle/shim/signals/slice_signal.hpp"
#include "treadle/shim/threads/order.hpp"
#include "treadle/shim/threads/program_thread.hpp"
#include "treadle/shim/threads/threads.hpp"

extern "C" {
std::uint8_t treadle_shim_armed = 0;
}

namespace treadle::shim {
namespace {

constinit settings all_settings;
constinit base::atomic<treadle::runtime*> the_runtime{nullptr};
constinit program_thread leader;

// How far leader and attendant are with each other; a futex.
enum : std::uint32_t { opening = 0, failed = 1, opened = 2, leader_sleeps = 3 };
constinit base::atomic<std::uint32_t> stage{opening};

// Guess: our calls need a few hundred bytes, poll with many descriptors and libc some thousand.
constexpr std::size_t side_stack_bytes = 64 * 1024;

// Written by the attendant before it says `failed`.
char why_not_opened[256] = "the kernel refuses a thread for it";

void wait_while(std::uint32_t seen) noexcept {
  while (stage.load(base::acquire) == seen) {  // pairs with advance()
    kernel_call(SYS_futex, &stage, FUTEX_WAIT_PRIVATE, seen, nullptr);
  }
}

void advance(std::uint32_t to) noexcept {
  stage.store(to, base::release);  // pairs with wait_while()
  kernel_call(SYS_futex, &stage, FUTEX_WAKE_PRIVATE, ~0u >> 1);
}

treadle::runtime* open_runtime() noexcept {
  try {
    runtime_options options;
    options.stack_bytes = side_stack_bytes;
    // Calls that may block say so here. A standby of class SCHED_IDLE would only see the rest
    // sooner, and where others keep the CPUs busy it is in the way of what every kernel thread has
    // to do: a change of privileges, the process's end (seconds under load).
    if (std::getenv("TREADLE_ACTIVATION") == nullptr) options.activation = activation::monitor;
    return new treadle::runtime(options);
  } catch (const std::exception& error) {
    std::strncpy(why_not_opened, error.what(), sizeof(why_not_opened) - 1);
    return nullptr;
  }
}

void run_attendant() noexcept {
  if (!can_take_signals()) {
    std::strcpy(why_not_opened, "the kernel refuses to wait for signals");
    return advance(failed);
  }
  const fault_actions before = remember_fault_actions();
  treadle::runtime* opened_runtime = open_runtime();
  restore(before);
  if (opened_runtime == nullptr) return advance(failed);
  the_runtime.store(opened_runtime, base::release);  // pairs with own_runtime()
  if (all_settings.is_pure) serve_all_purely();
  wrap_slice_signal();
  trap_calls();
  guard_faults();
  take_nudges();
  prepare_orders();
  become_attendant();
  advance(opened);
  wait_while(opened);
  // The leader does not touch its TLS any more.
  if (const int error = start(leader)) fail("the first thread cannot go on: error ", error);
  attend();
}

void* attendant_main(void*) {
  run_attendant();
  return nullptr;
}

// On the leader; its TLS belongs to the program's first thread from here on.
[[noreturn]] void leave_first_thread() noexcept {
  advance(leader_sleeps);
  put_what_others_send();
}

// Kernel threads that somebody made before us would run patched code without a seat.
bool is_only_thread() noexcept {
  const long directory =
      kernel_call(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return true;  // without /proc: we are loaded before all others
  alignas(8) char entries[256];    // three entries fit: ".", ".." and the leader
  const long bytes = kernel_call(SYS_getdents64, directory, entries, sizeof(entries));
  kernel_call(SYS_close, directory);
  int found = 0;
  for (long at = 0; at < bytes; ++found) {
    unsigned short size;
    __builtin_memcpy(&size, entries + at + 16, sizeof(size));  // sourced: getdents64(2)
    at += size;
  }
  return found <= 3;
}

// With one kernel thread the kernel needs not wait for others, which takes it up to 20 ms; when the
// runtime asks again it has been done. Where it is refused, the runtime does without.
void register_barriers() noexcept {
  base::asymmetric_fence::prepare();
  kernel_call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
}

void refuse(const char* why, const char* more = "") noexcept {
  char text[400] = {};
  std::strncat(text, why, 100);  // guess: longer than all of ours
  std::strncat(text, more, sizeof(why_not_opened));
  if (!all_settings.falls_back) fail(text, 0);
  say(text, "; the program goes on without Treadle");
}

}  // namespace

constinit base::atomic<bool> taken_over{false};

settings& chosen() noexcept { return all_settings; }

void leave_to_kernel() noexcept {
  taken_over.store(false, base::relaxed);  // relaxed: alone
  treadle_shim_two_sides = sides_of_child;
}

treadle::runtime* own_runtime() noexcept {
  return the_runtime.load(base::acquire);  // pairs with run_attendant()
}

std::uint64_t signals_of_workers() noexcept {
  const int slice = slice_signal();
  return faults | bit_of(order_signal) | bit_of(nudge_signal) | (slice != 0 ? bit_of(slice) : 0);
}

void take_over(saved_call& first) noexcept {
  treadle_shim_armed = 0;
  if (!is_only_thread()) return refuse("the program had kernel threads before its first pthread");
  if (const char* why = patch_all_sites()) return refuse(why);
  register_barriers();
  open_orders();
  leader.beginning = first;
  // All kernel threads of ours but the workers have this mask.
  std::uint64_t all = ~bit_of(order_signal);
  std::uint64_t before = 0;
  if (kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all)) != 0) {
    return refuse("the kernel refuses a signal mask");
  }
  leader.mask.store(before, base::relaxed);  // relaxed: published by the start
  learn_leader(leader);
  const int number = static_cast<int>(kernel_call(SYS_getpid));
  threads().add_leader(leader, number);
  remember_process(number);
  pthread_t attendant;
  bool done = base::create_kernel_thread(&attendant, nullptr, &attendant_main, nullptr) == 0;
  if (done) {
    wait_while(opening);
    done = stage.load(base::acquire) == opened;  // pairs with advance()
  }
  if (!done) {
    kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof(before));
    close_orders();
    return refuse("the runtime cannot be started: ", why_not_opened);
  }
  give_up_rseq();
  taken_over.store(true, base::relaxed);  // relaxed: the start publishes it
  treadle_shim_two_sides = sides_in_use;
  leave_first_thread();
}

}  // namespace treadle::shim
