// M:N: processors with run queues, workers that run them, work stealing.
//
// A processor's ready threads are, in the order that they are looked at: the next slot (just
// woken here), the ring, the fork deque (parents of running children), the inject queue for all,
// timers. Before all that come threads of higher levels, in one queue for all processors; a share
// of the turns goes to those of lower ones (level_turns.hpp), who else run when nobody has others.
// A worker without work becomes a thief: takes half of another's ring, or the oldest fork
// continuation, or a single thread that nobody has run for a while.
// Width is the number of processors. A processor is held by one worker (claim.hpp); more workers
// than processors (crew.hpp) stand by to take the place of one that is blocked in the kernel. The
// thread that is blocked goes on on its kernel thread when the kernel lets it, without a processor,
// and queues for one at its next stop (many_to_many_hand_over.cpp).
// Rejected: one shared queue (every switch contends), stealing of a lone fresh thread (it would
// have run on its own processor before the theft is over, and its cache lines travel for nothing).
#pragma once

#include <csignal>
#include <cstdint>

#include "treadle/queue/fork_deque.hpp"
#include "treadle/queue/inject_queue.hpp"
#include "treadle/queue/next_slot.hpp"
#include "treadle/queue/steal_ring.hpp"
#include "treadle/sched/crew.hpp"
#include "treadle/sched/crowd.hpp"
#include "treadle/sched/dozers.hpp"
#include "treadle/sched/fiber_scheduler.hpp"
#include "treadle/sched/idle_workers.hpp"
#include "treadle/sched/wake_ahead.hpp"

namespace treadle::core {

class many_to_many final : public fiber_scheduler<many_to_many> {
 public:
  many_to_many(unsigned width, stack_sizes sizes, activation_settings activation = {}) noexcept;
  ~many_to_many();

  // Starts the workers; 0 or an errno, after which nothing runs. Once.
  [[nodiscard]] int open() noexcept;
  // Waits until every thread has ended, then ends the workers. Not from a thread of ours.
  void close() noexcept;
  // Only waits: until every thread has ended.
  void settle() const noexcept;

  unsigned width() const noexcept final { return width_; }
  scheduler_counters counters() const noexcept final;
  crew_counters workers() const noexcept { return crew_.counters(); }
  void use_levels() noexcept final {
    scheduler_port::use_levels();
    plain_.store(false, base::relaxed);  // relaxed: as levels_in_use
  }
  // Fixed after open().
  const activation_report& activation() const noexcept { return report_; }

  void enter_blocking() noexcept final;
  void leave_blocking() noexcept final;
  bool lets_block() noexcept final;
  void note_would_block() noexcept final;

 private:
  friend class fiber_scheduler<many_to_many>;

  // A processor on which a thief has seen a lone ready thread at every look since.
  struct sighting {
    static constexpr std::uint32_t nobody = ~std::uint32_t{0};
    std::uint32_t victim = nobody;
    std::uint32_t looks = 0;
    std::int64_t since = 0;
  };

  // Of a worker that has nothing to run, until it has.
  struct idleness {
    base::absence away;
    std::int64_t doze;    // how long the next one lasts
    bool napped = false;  // or was hushed: others are not told yet that this one is up
    bool dozed = false;   // the last nap; others may sleep soundly for that
    bool woken = false;   // the waker counts us as the spinner then
  };

  struct idle_times {
    std::int64_t rest = 0;       // how long to sleep before looking for work; mostly 0
    std::int64_t last_rest = 0;  // the last one, if it was the last time that this was idle
    // Of the last time that timers had made threads ready here: when it began, or 0 when it is
    // over; at which tick; and how long each thread took, at first for ever.
    std::int64_t busy_since = 0;
    unsigned busy_since_tick = 0;
    std::int64_t thread_nanoseconds = timer_queue::no_deadline;
    bool fired = false;  // timers, since nobody was offered what they made ready
    // It has counted as the spinner, so that nobody was woken: what it leaves must be offered.
    bool hushed = false;
    // The last spin ended with a timer, and nobody has woken us since: a nap would have ended then,
    // too.
    bool spun_for_timers = false;
    std::int64_t looked = 0;         // when it last looked at all timers
    std::size_t sleepers_woken = 0;  // since its last nap that had the watch
  };

  struct vigil;
  struct processor : fiber_processor {
    // Shared with thieves.
    queue::next_slot<thread> next;
    queue::steal_ring<thread, 256> ring;      // sourced: the size that Go and Tokio use
    queue::fork_deque<thread, 1024> parents;  // guess: fork depth per processor
    // Owner only.
    sighting seen;
    idle_times idle;
    bool preempted_next = false;    // the queues have had their slice
    std::int64_t queues_since = 0;  // when the queues' turn began, after a preempted thread's
    bool turn_begins = false;       // a thread was preempted here just now
    bool newcomers = false;         // some of the ring had never run when the turn began
    unsigned turns_passed = 0;      // turns in which `passed_over` came first of those untried
    const thread* passed_over = nullptr;  // only to be compared
    unsigned spared_at_tick = 0;          // whose slice was over while lower ones waited
    std::int64_t spared_since = 0;        // and when; 0: nobody's
    std::uint32_t random = 1;
    // Its threads' own, also of one that has lost it: guesses. How many times a call is told not to
    // block until one is not; and how many workers had been relieved at the last.
    base::atomic<std::uint32_t> wary{0};
    base::atomic<std::uint32_t> reliefs_seen{0};
    // Fixed after start.
    std::uint32_t index = 0;
    // Atomic: a spare is on its way to see whether the holder is blocked.
    base::atomic<bool> alerted{false};
    base::atomic<std::int64_t> time_run{0};  // its holder's, when it was seen blocked last
    // A holder that overstays is taken for blocked, if it is in this turn still; 0: it does not.
    base::atomic<std::uint64_t> overstayed{0};
  };

  static processor& of(worker& on) noexcept { return *static_cast<processor*>(on.processor); }
  static processor& of(fiber_processor& mine) noexcept { return static_cast<processor&>(mine); }

  // What fiber_scheduler asks of a model.
  static constexpr bool processors_move = true;
  bool has_processor(const worker& on) const noexcept { return on.processor != &nowhere_; }
  // The worker's processor is not simply its own: true when it is again.
  [[gnu::noinline]] bool regain(worker& on) noexcept;
  void arm_as_guest(thread_body& body, deadline until, std::int64_t now) noexcept;
  void guest_parks() noexcept;
  bool is_alone() const noexcept { return alone_; }
  // A preempted thread is resumed from the idle context only.
  bool wants_idle(worker&) const noexcept {
    return preempted_count_.load(base::relaxed) != 0;  // relaxed: a guess, made often
  }
  // The paths of a lone processor are inlined into the switch; with thieves about, their atomics
  // outweigh a call.
  [[gnu::always_inline]] thread* pick(fiber_processor& here) noexcept {
    processor& mine = of(here);
    const unsigned turn = mine.tick();
    if ((turn & levels_.look_mask()) == 0) [[unlikely]]
      return look_around(mine, turn);
    if (alone_) [[likely]]
      return pick_alone(mine);
    return pick_local(mine);
  }
  [[gnu::always_inline]] thread* pick_plain(fiber_processor& here) noexcept {
    processor& mine = of(here);
    const unsigned turn = mine.tick();
    if ((turn & look_around_mask) == 0) [[unlikely]]
      return look_around(mine, turn);
    return pick_alone(mine);
  }
  [[gnu::always_inline]] void queue_plain(fiber_processor& here, thread& which) noexcept {
    queue_last(of(here), which);
  }
  // A woken thread: it is likely to be what this processor should run next.
  [[gnu::always_inline]] void ready(worker& on, thread& which) noexcept {
    processor& mine = of(on);
    if (!is_plain()) [[unlikely]]
      return ready_shared(mine, which);
    if (thread* displaced = mine.next.put_alone(&which)) queue_last(mine, *displaced);
  }
  // The same, from a thread, in the case that needs no call; else false.
  [[gnu::always_inline]] bool ready_at_once(worker& on, thread& which) noexcept {
    if (!is_plain() || on.inside.load(base::relaxed) != 0) [[unlikely]]  // relaxed: our own
      return false;
    const bool done = enter_at_once(on) && of(on).next.put_first_alone(&which);
    leave(on);
    return done;
  }
  // Whether put_last() will do for ready_last(): nobody need be told, and nothing flows over.
  [[gnu::always_inline]] bool has_room(fiber_processor& here) const noexcept {
    return alone_ && !of(here).ring.is_full();
  }
  [[gnu::always_inline]] void put_last(fiber_processor& here, thread& which) noexcept {
    of(here).ring.push_into_room(&which);
  }
  [[gnu::always_inline]] void ready_last(worker& on, thread& which) noexcept {
    processor& mine = of(on);
    if (!is_plain()) [[unlikely]]
      return ready_last_shared(mine, which);
    queue_last(mine, which);
  }
  void ready_from_outside(thread& which) noexcept;
  [[gnu::always_inline]] bool push_parent(worker& on, thread& parent) noexcept {
    if (!of(on).parents.push(&parent)) [[unlikely]]
      return false;
    // A lone continuation is taken back within nanoseconds mostly; a dozer will see a lasting one.
    if (!alone_) offer(false);
    return true;
  }
  [[gnu::always_inline]] thread* pop_parent(worker& on) noexcept {
    return alone_ ? of(on).parents.pop_alone() : of(on).parents.pop();
  }

  [[gnu::always_inline]] thread* pick_alone(processor& mine) noexcept {
    thread* found = mine.next.take_alone();
    if (found == nullptr) found = mine.ring.pop_alone();
    return found != nullptr ? found : pick_rarely(mine);
  }
  [[gnu::always_inline]] void queue_last(processor& mine, thread& which) noexcept {
    if (!mine.ring.push(&which)) [[unlikely]]
      overflow(mine, which);
  }
  void await_recall(std::int64_t until) noexcept;
  thread* pick_local(processor& mine) noexcept;
  void ready_shared(processor& mine, thread& which) noexcept;
  void ready_last_shared(processor& mine, thread& which) noexcept;
  thread* pick_rarely(processor& mine) noexcept;
  thread* look_around(processor& mine, unsigned turn) noexcept;
  void look_for_news(processor& mine) noexcept;
  thread* pick_oldest(processor& mine) noexcept;
  thread* pick_at_turn(processor& mine, unsigned turn) noexcept;
  thread* pick_when_idle(processor& mine) noexcept;
  void ready_by_level(thread& which) noexcept;
  // One processor, and all threads are of the usual level.
  bool is_plain() const noexcept { return plain_.load(base::relaxed); }  // relaxed: levels_in_use
  thread* take_injected(processor& mine) noexcept;
  base::chain<thread> take_share(processor& mine, std::size_t beyond) noexcept;
  void overflow(processor& mine, thread& last) noexcept;
  // After queueing something here: is it worth waking somebody? `surplus` says that this
  // processor has more than it can run next.
  void offer(bool surplus) noexcept {
    if (idle_.anybody_spins() || !idle_.anybody_waits_for_surplus()) [[likely]]
      return;
    if (!surplus && dozers_.anybody()) return;
    wake_one(false);
  }
  void wake_one(bool resters_too) noexcept;

  // Processors change hands (many_to_many_hand_over.cpp).
  bool has_work(processor& which) const noexcept;
  bool take_released(processor& which, claim::seen now) noexcept;
  void hand_to(processor& mine, crew_member& me, crew_member& other) noexcept;
  void let_go(processor& mine, crew_member& me) noexcept;
  void orphan(processor& mine, crew_member& me) noexcept;
  void adopt_orphans() noexcept;
  void become_spare(crew_member& idle) noexcept;
  void back_from_release(processor& mine, claim::seen before) noexcept;
  void give_back_wake(bool woken) noexcept;
  bool wait_for_processor(crew_member& me) noexcept;

  // From blocked workers (many_to_many_relief.cpp).
  enum class outcome { nothing, taken, reserved };
  bool call_relief(processor& which, const crew_member& blocked, bool again, int cpu) noexcept;
  outcome relieve(processor& which, crew_member& me) noexcept;
  void relieve_by_preempted(processor& which) noexcept;
  static std::uint64_t turn_of(const processor& which) noexcept {
    // relaxed: a guess
    return std::uint64_t{1} << 32 | which.ticks.load(base::relaxed);
  }
  bool is_blocked_for_sure(processor& which, claim::seen& now) noexcept;
  static bool is_away(const processor& which, const crew_member& holder) noexcept;
  outcome leave_released(processor& which, claim::seen now, crew_member& me) noexcept;
  bool somebody_waits(processor& which, std::int64_t soon) const noexcept;
  bool somebody_queues(processor& which, std::int64_t soon) const noexcept;
  bool has_timer_before(processor& which, std::int64_t soon) const noexcept;

  // Preemption (many_to_many_preempt.cpp).
  static int claim_signal() noexcept;
  void prepare_preemption() noexcept;
  void open_slice_timer(crew_member& me) noexcept;
  static void close_slice_timer(crew_member& me) noexcept;
  static void arm_slice_timer(crew_member& hog, std::uint64_t word, unsigned ticks,
                              std::int64_t nanoseconds) noexcept;
  static void on_slice_over(int, siginfo_t* info, void*);
  void preempt(crew_member& me) noexcept;
  void stop_kernel_thread(crew_member& me, thread& self, processor* mine,
                          crew_member* other) noexcept;
  crew_member* pop_preempted() noexcept;
  void put_back_preempted(crew_member& first) noexcept;
  bool resume_preempted(processor& mine) noexcept;
  bool preempted_is_due(const processor& mine) const noexcept;
  std::int64_t turn_of_queues(const processor& mine) const noexcept;
  priority highest_queued(const processor& mine) const noexcept;
  bool is_spared(processor& mine, const thread& self, std::int64_t now) noexcept;
  bool somebody_is_preempted() const noexcept {
    return preempted_count_.load(base::seq_cst) != 0;  // seq_cst: as the inject queue
  }
  void publish_preempted() noexcept;

  // After a preemption (many_to_many_turns.cpp).
  bool begin_turn(processor& mine) noexcept;
  void gather(processor& mine) noexcept;
  unsigned sort_ring(processor& mine) noexcept;
  void queue_all(processor& mine, base::chain<thread>& those) noexcept;
  void queue_oldest_parent(processor& mine) noexcept;
  static void look_around_after(processor& mine, unsigned picks) noexcept;
  static void hurry_look_around(processor& which, unsigned ticks) noexcept;
  bool is_overdue(const processor& which, std::int64_t now) const noexcept;

  void end_workers() noexcept;

  // The idle side (many_to_many_idle.cpp).
  static void* worker_main(void* argument);
  void work(crew_member& me) noexcept;
  thread* find_work(processor& mine) noexcept;
  thread* wait_for_work(processor& mine, std::int64_t now, idleness& rest) noexcept;
  void find_dozer(bool dozed) noexcept;
  thread* look_everywhere(processor& mine, std::int64_t now) noexcept;
  bool fire_quietly(processor& mine, timer_queue& timers, std::int64_t now) noexcept;
  void offer_found(processor& mine, bool napped) noexcept;
  thread* steal_from(processor& mine, processor& victim, std::int64_t now) noexcept;
  thread* steal_lone(processor& mine, processor& victim, std::int64_t now) noexcept;
  enum class outlook { nothing, perhaps, work };
  outlook look_from_afar(processor& mine, std::int64_t now) noexcept;
  outlook watch(processor& mine, processor& victim, std::int64_t now) noexcept;
  thread* spin(processor& mine, base::absence& away) noexcept;
  std::size_t sleepers() const noexcept;
  bool nap(processor& mine, idleness& rest) noexcept;
  void sleep_till_due(processor& mine, idleness& rest) noexcept;
  void judge(processor& mine, std::int64_t now) noexcept;
  static void end_busy(processor& mine, std::int64_t now) noexcept;
  deadline earliest_timer() const noexcept;

  const unsigned width_;
  const bool alone_;  // one processor: no thief exists
  base::atomic<bool> plain_;
  processor* processors_ = nullptr;
  fiber_processor nowhere_;  // what a worker without a processor has; nobody ever holds it
  crew crew_;
  const activation_settings settings_;
  activation_report report_;
  vigil* vigil_ = nullptr;
  int signal_ = 0;
  std::int64_t tick_nanoseconds_ = 0;  // the kernel's

  base::spin_lock preempted_lock_;
  // Guarded by preempted_lock_.
  base::chain<crew_member> preempted_list_;
  unsigned preempted_turns_ = 0;
  // Written under it, read by all.
  base::atomic<std::size_t> preempted_count_{0};
  base::atomic<priority> preempted_highest_{priority::normal};  // when there are any
  base::atomic<std::uint64_t> preemptions_{0};
  base::atomic<std::uint64_t> reliefs_{0};

  timer_queue guest_timers_;  // of sleepers that had no processor
  crowd crowd_;
  wake_ahead wake_ahead_{base::timer_slack_nanoseconds()};
  base::atomic<std::uint32_t> orphans_{0};  // processors released with no member in reserve
  queue::inject_queue<thread> injected_;
  idle_workers idle_;
  dozers dozers_;
  base::atomic<bool> closing_{false};
};

}  // namespace treadle::core
