// Whether one kernel thread is blocked: it has given up its CPU of its own accord, in a system
// call, a page fault or a lock of libc's, and is not merely waiting for its turn on a CPU.
//
// Opened and closed by that kernel thread itself, asked by any; mended by one other, where the
// thread could not open it. Two ways: the head of a perf ring that the kernel writes a record into
// at every switch from and to the thread (5 ns to ask, some 800 ns more a switch), or
// /proc/self/task/T/syscall (a microsecond to ask, a descriptor). The answer is about the past:
// whoever acts on it asks again.
// The ring is mapped read-only: the kernel then overwrites old records, and the last one, which is
// eight bytes long, lies just below the head.
// Rejected: perf's own wake-ups (14 us a switch), per-thread CPU clocks (they lag while a thread
// runs). Sources: perf_event_open(2), proc_pid_syscall(5).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/sched/activation.hpp"

namespace treadle::core {

// Closes a descriptor of the runtime's own that came by a bare system call and was there for a
// moment, and tells whoever has taken its number for one that the program had closed, and waits for
// it, that it is none. Any kernel thread; keeps errno. Null: nobody can wait for descriptors.
using own_closer = void (*)(int number) noexcept;

class blocked_probe {
 public:
  // The best way of at most `highest`; says which: perf, proc, or off for none. A perf event has a
  // descriptor for a moment, which `closer` closes.
  activation_level open(activation_level highest, pid_t kernel_id, own_closer closer) noexcept;
  void close() noexcept;
  // Tries again, from another kernel thread: descriptors may have been short. Not beside open() or
  // close().
  void mend(activation_level highest, own_closer closer) noexcept;

  // When it is not, nobody knows whether the thread is blocked.
  bool is_open() const noexcept {
    // relaxed, both: a guess
    return ring_.load(base::relaxed) != nullptr || file_.load(base::relaxed) >= 0;
  }
  bool is_blocked() const noexcept;
  pid_t kernel_id() const noexcept { return kernel_id_; }
  // The CPU that the thread ran on last, or -1 when nobody knows.
  int cpu() const noexcept;

 private:
  bool open_ring(pid_t kernel_id, own_closer closer) noexcept;
  bool open_file(pid_t kernel_id) noexcept;

  // Fixed after open().
  pid_t kernel_id_ = 0;
  // Set by the thread, read by others: published last.
  base::atomic<const void*> ring_{nullptr};
  base::atomic<int> file_{-1};
  base::atomic<const std::uint32_t*> cpu_{nullptr};  // the kernel's own note, in the rseq area
};

}  // namespace treadle::core
