// Grace periods and what waits for them: threads in synchronize(), and objects that were retired.
//
// One grace period runs at a time, and whoever has an interest moves it on, one step() at a time: a
// thread in synchronize(), of which one leads and the others are parked until it has seen to them,
// or one that has retired a batch of objects. A grace period takes along all that was there before
// it began. Nobody is told when the last reader leaves, for then each would have to look whether
// somebody waits: the leader asks again and again, parked in between for longer and longer.
// A grace period begins with a fence on all CPUs that run the process, which stops readers there
// for about as long as its caller. So the next one begins after a multiple of what the fence took:
// a writer in a loop slows readers by some percent, and not by half (decision 0033).
// Objects whose grace period is over are destroyed by the thread that happens to notice at a
// retire(), in batches, in the order in which they were retired, by one thread at a time.
// Rejected: a thread of the runtime's own that destroys them (it belongs to one runtime, and
// objects are retired by foreign kernel threads too, and after the last runtime has gone); one
// grace period for each caller (a membarrier each, 4 us).
#pragma once

#include <cstdint>

#include "treadle/base/chain.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sync/retired.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

class raw_rcu {
 public:
  constexpr raw_rcu() noexcept = default;
  raw_rcu(const raw_rcu&) = delete;
  raw_rcu& operator=(const raw_rcu&) = delete;

  // The process's one: sections are not told apart by what they protect.
  static raw_rcu& of_process() noexcept;

  // Destroys the object after a grace period. Never parks; may destroy others.
  void retire(retired& object) noexcept;
  // Parks until all sections have ended that were open at the call.
  void synchronize() noexcept;
  // The same, and until all objects retired before the call are destroyed.
  void barrier() noexcept;
  // Destroys what can be destroyed without waiting.
  void reclaim() noexcept;

 private:
  struct caller;

  enum class begins : bool { when_it_may, at_once };

  bool step(begins when) noexcept;
  void begin_period() noexcept;
  void end_period() noexcept;
  void lead(std::uint64_t target) noexcept;
  void pass_the_lead() noexcept;
  void push(retired& object) noexcept;
  void destroy_ready() noexcept;
  bool is_done(std::uint64_t target) noexcept;

  // Guess: readers lose a sixteenth of their time at most.
  static constexpr std::int64_t fence_share = 16;
  // Guess: a fence that seems to take longer was off its CPU meanwhile.
  static constexpr std::int64_t longest_fence = 10'000;

  // Guess: as many objects wait at least before one that retires looks; a grace period costs 0.2 to
  // 5 us.
  static constexpr std::uint64_t batch = 64;

  base::atomic<retired*> retired_{nullptr};  // the youngest, linked to the older ones
  base::atomic<std::uint64_t> retirements_{0};

  // Held for one step, by whoever was first: not a lock, nobody waits for it.
  base::atomic<bool> stepping_{false};
  // Guarded by stepping_.
  bool under_way_ = false;
  std::int64_t may_begin_ = 0;   // when the next grace period may, on the monotonic clock
  retired* awaiting_ = nullptr;  // taken along by the grace period under way, the youngest first

  base::spin_lock lock_;
  // Guarded by lock_.
  std::uint64_t begun_ = 0;  // grace periods
  std::uint64_t done_ = 0;
  bool led_ = false;               // somebody in synchronize() sees to it that they end
  base::chain<caller> followers_;  // in order of the grace period that they wait for
  base::chain<retired> ready_;     // to be destroyed
  core::thread* destroyer_ = nullptr;
};

}  // namespace treadle::sync
