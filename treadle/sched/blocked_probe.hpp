// Whether one kernel thread is blocked: it has given up its CPU of its own accord, in a system
// call, a page fault or a lock of libc's, and is not merely waiting for its turn on a CPU.
//
// The thread itself begins its probe; another one, the watcher, opens it. Two ways:
// /proc/self/task/T/syscall (a microsecond to ask), or the head of a perf ring that the kernel
// writes a record into at every switch from and to the thread (5 ns to ask, and some 800 ns more
// for each switch). The answer is about the past: whoever acts on it asks again.
// The watcher, and those who ask, have a table of descriptors that is not the program's
// (base::leave_descriptors): a file can only be opened at the lowest free number, and a thread of
// the program that is about to read a number which another one has just closed would read the file.
// The ring is mapped read-only: the kernel then overwrites old records, and the last one, which is
// eight bytes long, lies just below the head.
// Rejected: perf's own wake-ups (14 us a switch), per-thread CPU clocks (who stands still may wait
// for its turn; but they tell that one who was blocked has not run since, without a descriptor).
// Sources: perf_event_open(2), proc_pid_syscall(5), clock_getcpuclockid(3).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/sched/activation.hpp"

struct perf_event_header;

namespace treadle::core {

class blocked_probe {
 public:
  blocked_probe() noexcept = default;
  ~blocked_probe();
  blocked_probe(const blocked_probe&) = delete;
  blocked_probe& operator=(const blocked_probe&) = delete;

  // By the thread that is to be watched, once.
  void begin() noexcept;
  bool has_begun() const noexcept { return kernel_id() != 0; }
  // 0 before begin().
  pid_t kernel_id() const noexcept { return kernel_id_.load(base::acquire); }  // pairs with begin()
  // The CPU that the thread ran on last, or -1 when nobody knows.
  int cpu() const noexcept;

  // By the watcher, when it has begun and is not open: by `first`, perf or proc, or else by the
  // other; says which, or off for none. May be tried again.
  activation_level open(activation_level first) noexcept;
  // By the watcher, when nobody asks any more.
  void close_file() noexcept;

  // When it is not, nobody knows whether the thread is blocked. Any kernel thread.
  bool is_open() const noexcept;
  // By those who have the watcher's descriptors.
  bool is_blocked() const noexcept;
  // Nanoseconds, any kernel thread. After it was found blocked; for is_blocked_still().
  std::int64_t time_run() const noexcept;
  // Any kernel thread: whether who was found blocked, and had run for so long, is so still. Until
  // it gets a CPU, one that has been woken counts as blocked where there is no ring.
  bool is_blocked_still(std::int64_t time_run_then) const noexcept;

 private:
  bool open_ring() noexcept;
  bool open_file() noexcept;
  const perf_event_header* last_switch() const noexcept;

  // Set by the thread, read by others.
  base::atomic<pid_t> kernel_id_{0};
  base::atomic<const std::uint32_t*> cpu_{nullptr};  // the kernel's own note, in the rseq area
  // Set by the watcher, read by others.
  base::atomic<const void*> ring_{nullptr};
  base::atomic<int> file_{-1};
};

}  // namespace treadle::core
