// A pthread of the program's as the shim knows it: what the kernel would know of a kernel thread.
//
// glibc makes and frees all of a thread that a program can see (stack, TLS, handle); here is the
// rest. A record lives from clone to the end of the thread, and is used again only for another
// thread; never unmapped. Numbers are never used twice, so that a lock that a dead thread left
// behind does not look like a new one's; and each process counts from elsewhere, so that a lock
// that several share does not look like one's own.
#pragma once

#include <signal.h>

#include <cstdint>

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/base/atomic.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/shim/door/saved_call.hpp"
#include "treadle/shim/signals/signal_queue.hpp"
#include "treadle/shim/threads/traits.hpp"

namespace treadle::shim {

struct robust_head;
struct seat;

// Ends a wait that does not end by an unpark. Lies on the waiter's stack.
struct wait_stopper {
  void (*stop)(wait_stopper& mine) noexcept;
};

// Sent to the process, and not yet taken.
extern constinit signal_queue process_pending;

struct alignas(16) program_thread {
  // Fixed after start.
  int id = 0;
  bool is_leader = false;  // the process's first thread
  saved_call beginning{};  // where and how it begins

  // The thread's own.
  std::uint32_t* clear_id = nullptr;  // as set_tid_address(2)
  robust_head* robust = nullptr;
  stack_t alternate{};
  std::uint64_t mask_to_restore = 0;  // rt_sigsuspend: after the handler
  bool restores_mask = false;
  std::uint64_t mask_before_all = 0;  // before libc blocked all, its own signals included
  bool in_round = false;              // in the handler with which libc changes privileges
  std::uint32_t turns = 0;            // times that it may have let others run on its kernel thread
  std::int64_t last_call = 0;         // the number of the call that it makes, or made last

  // Atomic. Null until its first instruction.
  base::atomic<core::thread*> self{nullptr};
  base::atomic<std::uint64_t> mask{0};      // its own to write; blocked signals
  signal_queue pending;                     // sent to this thread and not yet taken
  base::atomic<std::uint64_t> told{0};      // of the process's signals: these are for it to take
  base::atomic<bool> interruptible{false};  // in a wait that a signal may end
  base::atomic<bool> slice_is_over{false};  // others are to run (slices.hpp)
  // What it waits for in sigtimedwait(), or 0.
  base::atomic<std::uint64_t> awaited{0};

  // Written by who runs it: the seat that it sits on, or sat on last.
  base::atomic<const seat*> under{nullptr};
  base::atomic<bool> in_kernel{false};  // in a call that may block its worker

  // CPU time (cpu_time.hpp): its own to write. Nanoseconds; `since` is of the kernel thread's
  // clock, 0 while it is not on the program's side.
  base::atomic<std::int64_t> cpu_used{0};
  base::atomic<std::int64_t> cpu_since{0};
  std::int64_t cpu_at_call = 0;
  const seat* seat_at_call = nullptr;
  std::uint32_t turns_at_call = 0;

  // Guarded by the book's lock.
  bool leaves = false;    // its end has begun, and it is not the last
  bool executes = false;  // another program: nobody nudges its kernel thread any more
  thread_traits traits;
  wait_stopper* stopper = nullptr;
  program_thread* next = nullptr;
  program_thread* previous = nullptr;
  program_thread* next_in_bucket = nullptr;

  // A sender adds to what is pending, and then looks where the thread is; the thread says where it
  // is, and then looks here. One of them sees the other: each has its half of a fence in between.
  static void before_look() noexcept { base::asymmetric_fence::often(); }
  static void after_sending() noexcept { base::asymmetric_fence::rarely(); }
  std::uint64_t deliverable() const noexcept {
    // seq_cst, all: not before what precedes before_look()
    const std::uint64_t of_process = told.load(base::seq_cst) & process_pending.bits();
    return (pending.bits() | of_process) & ~mask.load(base::seq_cst);
  }
};

// All of them, by number.
class thread_book {
 public:
  // Null when there is no memory. From then on signals may be sent to it, so it has its mask.
  program_thread* add(std::uint64_t mask) noexcept;
  void add_leader(program_thread& leader, int id) noexcept;
  void remove(program_thread& ended) noexcept;

  base::spin_lock lock;
  // With the lock held.
  program_thread* find(int id) noexcept;
  program_thread* first() noexcept { return first_; }
  // Whether it is the last that stays; if not it leaves. Of two that end at once one is the last.
  [[nodiscard]] bool is_last_or_leaves(program_thread& ending) noexcept;

  unsigned alive() const noexcept { return alive_.load(base::relaxed); }  // relaxed: a number
  unsigned most() const noexcept { return most_.load(base::relaxed); }
  // For the debugger's table.
  static constexpr std::size_t offset_of_first() noexcept;
  std::uint64_t created() const noexcept { return created_.load(base::relaxed); }

 private:
  // Guess: chains stay short up to ten times as many threads.
  static constexpr unsigned bucket_count = 4096;

  void link(program_thread& fresh) noexcept;
  program_thread* take_free() noexcept;

  // Guarded by lock.
  program_thread* buckets_[bucket_count] = {};
  program_thread* first_ = nullptr;
  program_thread* free_ = nullptr;
  int last_id_ = 0;       // 0: none yet
  unsigned staying_ = 0;  // without those that leave

  base::atomic<unsigned> alive_{0};
  base::atomic<unsigned> most_{0};
  base::atomic<std::uint64_t> created_{0};
};

thread_book& threads() noexcept;

// Of a thread that is not the first of its process: no kernel thread's.
bool is_number_of_ours(std::uint32_t number) noexcept;

// Where a debugger finds them (tools/gdb/treadle.py reads it word by word): which Treadle thread is
// which of the program's, and who sits on a kernel thread's seat.
struct debugger_table {
  char mark[8];
  const thread_book* book;
  // Offsets, in the book, in a program_thread and in a seat.
  std::uint64_t first;
  std::uint64_t next;
  std::uint64_t id;
  std::uint64_t self;
  std::uint64_t last_call;
  std::uint64_t occupant;
};

}  // namespace treadle::shim

extern "C" const treadle::shim::debugger_table treadle_shim_debugger_table;
