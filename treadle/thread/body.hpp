// What a thread has only while it has a stack: it lies at the very top of that stack, so that a
// parked thread costs one page. A foreign kernel thread has one too, in its thread-local storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string_view>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/base/timer_node.hpp"
#include "treadle/context/fiber_note.hpp"
#include "treadle/context/stack_arena.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::core {

struct timer_queue;
struct fork_point;

// Sourced: TASK_COMM_LEN of Linux is 16; twice that leaves room for readable names.
inline constexpr std::size_t name_bytes = 32;

// The table of a thread's thread_specific values; the public room fills in the functions. destroy()
// resets the calling thread's table.
struct specific_table {
  void* values = nullptr;
  void (*destroy)(void* values) noexcept = nullptr;
};

struct loan;
struct loan_source;

// What a thread lends and has been lent (sched/loans.hpp). Guarded by the book of loans, but for
// `holds`, which is the thread's own. All are back to nothing when it ends.
struct thread_loans {
  loan_source* borrowed = nullptr;
  loan* lends = nullptr;
  unsigned holds = 0;
};

// Its size keeps the thread's first frame aligned to 16, and its first cache line is all that a
// timer needs of a sleeper whose stack is cold.
struct alignas(base::cache_line_bytes) thread_body {
  // Set when the stack is bound; read by the overflow report of any thread.
  base::atomic<thread*> owner{nullptr};
  // Guarded by the lock of `timers`, the queue that the node is in (sched/timer_queue.hpp).
  base::timer_node timer;
  std::int64_t timer_until = 0;  // when to wake the thread; the node's deadline may be earlier
  // The thread's own: null when the node is in none for sure.
  timer_queue* timers = nullptr;

  context::stack stack{};
  closure_function entry = nullptr;
  void* closure = nullptr;  // what entry gets: into `inline_closure`, or further down the stack
  child_closure inline_closure{};
  char name[name_bytes] = {};

  std::size_t stack_bytes = 0;  // as asked for; the stack itself may be larger

  // The thread's own.
  fork_point* fork = nullptr;
  specific_table specific;
  std::uint32_t reading = 0;  // read sections taken along (read_book.hpp); 0 again when it ends
  thread_loans loans;
  void* kernel_seat = nullptr;  // model 1:1 keeps its kernel thread here
  int kernel_id = 0;            // guarded by the lock of kernel_level.hpp; 0 where it has none

  // The thread's own: a jthread's token while its function runs, an empty one while it is shielded,
  // else null. It is put back by who sets it, so that a thread on a used stack need not clear it.
  const std::stop_token* stop = nullptr;

#if defined(TREADLE_ASSERTIONS)
  // The thread's own: how many it holds.
  int spinlocks = 0;
#endif

  // Owner only, used around switches.
  [[no_unique_address]] context::fiber_note note;

  void set_name(std::string_view text) noexcept {
    const std::size_t size = text.size() < name_bytes - 1 ? text.size() : name_bytes - 1;
    for (std::size_t i = 0; i < size; ++i) name[i] = text[i];
    name[size] = '\0';
  }
};

// Makes the end of the calling thread call finish_specific().
void watch_end(thread& self) noexcept;

// When `specific.destroy` is set, the last thing that a thread does.
void finish_specific(thread& self) noexcept;

}  // namespace treadle::core
