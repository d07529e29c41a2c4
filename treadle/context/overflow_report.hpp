// Turns the touch of a stack's guard into a report that names the thread, and lets the process
// die by SIGSEGV as it would have.
//
// The handler runs on an alternate signal stack, as the thread has none left. It allocates
// nothing, takes no lock and uses no stdio: the fault may have come in the middle of malloc or
// printf. Anything but the touch of a guard goes to the handler that was there before.
//
// Not seen: a frame larger than the guard that is not probed page by page (build with
// -fstack-clash-protection, or ask for a wider guard), and a system call that the kernel fails
// with EFAULT because its buffer lies in a guard.
//
// Rejected: going on after the report, by longjmp or an exception: frames would be skipped whose
// locks nobody would release. Source: sigaltstack(2), signal-safety(7).
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/context/stack_arena.hpp"

namespace treadle::context {

// What the report says of the thread that owns a stack. This room knows no threads; the thread
// room sets the function that describes them.
struct overflow_subject {
  std::uint64_t thread;
  const char* name;  // may be empty, not nullptr; any bytes up to the zero
  std::size_t stack_bytes;
};

// Fills in the subject, or returns false when no thread owns the stack. Called in the handler,
// also for stacks that are free or that another kernel thread is using at this moment.
using describe_function = bool (*)(const stack&, overflow_subject*);
void set_stack_describer(describe_function describe) noexcept;

// Once per process, later calls do nothing. Blocks nothing.
void install_overflow_handler() noexcept;

// The calling kernel thread's alternate signal stack, for the life of this object. Keeps the one
// that the thread has, if any. Without memory for one, an overflow kills without a report.
class alternate_signal_stack {
 public:
  alternate_signal_stack() noexcept;
  ~alternate_signal_stack();
  alternate_signal_stack(const alternate_signal_stack&) = delete;
  alternate_signal_stack& operator=(const alternate_signal_stack&) = delete;

  // 0, or the errno of what failed.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  stack memory_{};  // memory_.arena is nullptr when the thread had one already
  int error_ = 0;
};

}  // namespace treadle::context
