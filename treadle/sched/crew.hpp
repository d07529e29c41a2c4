// The kernel threads of M:N: more than there are processors, so that one may take the place of
// another that is blocked.
//
// A member is a worker. It holds at most one processor; without one it sleeps on its own futex,
// its bed, and is either spare, or kept in reserve for a processor that its holder has let go, or
// it holds a thread that was preempted on it. Whoever wakes it has told it first what to do, and
// may have drawn it to a CPU.
// Spares are a stack without lock (spare_stack.hpp). A thread of its own, the hirer, makes new
// members ahead of need: starting a kernel thread may wait for libc's locks, which a blocked worker
// may hold. Members never leave before the end; their number is bounded.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <sys/types.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/sched/blocked_probe.hpp"
#include "treadle/sched/spare_stack.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

struct fiber_processor;

struct alignas(base::false_sharing_bytes) crew_member : worker {
  // Fixed after start.
  void* home = nullptr;  // the scheduler's own type
  pthread_t kernel_thread{};

  // What the one who wakes a member tells it.
  struct order {
    fiber_processor* about;  // the processor to run, or to look at; null: the runtime closes
    bool as_spinner;         // it counts as the one that spins
  };

  // Sleeps until woken; meanwhile it counts as away.
  order wait() noexcept;
  // The member must sleep or be about to, and belong to the caller.
  void wake(fiber_processor* about, bool as_spinner) noexcept;
  // Before wake(), by whose CPU has nothing else to do: the member wakes there. Left to itself the
  // kernel prefers a CPU that sleeps, which has to be started first (measured, lab syscall-handoff:
  // 18 us against 5). The member may run anywhere again before it does what it was told.
  void draw_to(int cpu) noexcept;
  // Before wake(), by a member that sleeps right after it: its CPU is free then, and is used by
  // nobody until the kernel next balances (measured, four loops on two CPUs: up to 8 ms) if the
  // other is woken beside somebody who computes.
  void draw_here(const crew_member& caller) noexcept {
    const int cpu = caller.probe.cpu();
    if (cpu >= 0 && probe.cpu() != cpu) draw_to(cpu);
  }

  // Begun, and the timer made, by the member itself.
  blocked_probe probe;
  base::atomic<int> slice_timer{-1};

  // Preemption. Written by the monitor before it arms the timer: what it saw run too long.
  base::atomic<std::uint64_t> slice_word{0};
  base::atomic<unsigned> slice_ticks{0};
  // The timer is armed, and the handler has not run since.
  base::atomic<bool> slice_is_watched{false};
  // Guarded by the queue of preempted members.
  crew_member* link = nullptr;
  const thread* preempted = nullptr;

  // In the stack of spares: the next one's number.
  base::atomic<std::uint32_t> below{0};
  // Has been a spare, or was made for a processor; changed by itself before others know it.
  bool has_come = false;

 private:
  static constexpr std::uintptr_t spinner_mark = 1;

  void let_loose() noexcept;

  base::atomic<std::uintptr_t> told_{0};
  base::atomic<std::uint32_t> bed_{0};  // a futex; 1: woken
  // Published by the bed.
  bool drawn_ = false;
  cpu_set_t free_{};  // where it may run, when it is drawn
};

struct crew_counters {
  std::uint32_t members = 0;    // kernel threads in all
  std::uint32_t spares = 0;     // of them without anything to do
  std::uint64_t shortages = 0;  // times that a spare was wanted and there was none
};

class crew {
 public:
  // Makes `first` members that run `main` at once, with the member as argument, and prepares for
  // `extra_max` more. 0 or an errno; close() in either case.
  [[nodiscard]] int open(unsigned first, unsigned extra_max, void* (*main)(void*),
                         void* home) noexcept;
  // Ends the hirer and every member; all must be asleep or about to be.
  void close() noexcept;

  // A spare for the caller to wake, or null; any kernel thread. Without lock.
  [[nodiscard]] crew_member* take_spare() noexcept;
  // A member that goes to sleep in a moment, or sleeps.
  void put_spare(crew_member& idle) noexcept;

  // By number, 1 to size().
  crew_member& operator[](std::uint32_t number) const noexcept { return members_[number - 1]; }
  // Without the one that is just being made, which may be a spare already.
  // acquire: pairs with hire(), publishes the members
  std::uint32_t size() const noexcept { return size_.load(base::acquire); }
  crew_counters counters() const noexcept;

 private:
  static void* hirer_main(void* argument);
  int hire() noexcept;
  void want_more() noexcept;
  auto below_of() const noexcept {
    return [this](std::uint32_t number) -> auto& { return (*this)[number].below; };
  }
  void release_memory() noexcept;

  // Guess: a handful of threads may block in the time that the hirer needs for the next member.
  // The hirer makes twice as many each time, from the first two on: most programs need no more, and
  // eight took a third of the time in which a process under `treadle run` makes its first thread.
  // Those count that have been made and have not come so far: where CPUs are busy that takes a
  // while, and each shortage meanwhile would make as many again (94 for eight blocked threads).
  static constexpr std::uint32_t spares_low = 1;
  static constexpr std::uint32_t spares_first = 2;
  static constexpr std::uint32_t spares_most = 8;

  // Fixed after start.
  crew_member* members_ = nullptr;
  std::uint32_t first_ = 0;
  std::uint32_t size_max_ = 0;
  void* (*main_)(void*) = nullptr;
  void* home_ = nullptr;
  pthread_t hirer_{};
  bool hirer_runs_ = false;

  // Atomic.
  alignas(base::false_sharing_bytes) spare_stack spares_;
  base::atomic<std::uint32_t> spare_count_{0};
  base::atomic<std::uint32_t> coming_{0};  // made, and not yet spares
  base::atomic<std::uint32_t> size_{0};
  base::atomic<std::uint64_t> shortages_{0};
  base::atomic<std::uint32_t> hiring_{0};  // the hirer's futex: 1 when there is something to do
  base::atomic<bool> closing_{false};
};

}  // namespace treadle::core
