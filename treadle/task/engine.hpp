// What runs the tasks of one runtime: its carriers, the queue between them, and their clock.
//
// Carriers are ordinary threads of the runtime, as many as may run at once, started when there is
// work for them; in a model where each thread is a kernel thread they are a small set of those. So
// tasks and threads share processors by the scheduler's own rules, and none of its paths knows of
// tasks. A carrier whose task parks the thread is replaced meanwhile.
//
// A task that waits has a record like a thread's, without a stack: its scheduler is `port()`, so
// every primitive wakes it as it wakes a thread, and what "ready" means is decided here. Nothing is
// resumed inside a wake-up: the waker may hold locks.
// Whoever pushes looks for idle carriers afterwards; who goes idle announces it, then looks at all
// queues. A carrier that pushes to its own queue does not pay for a fence: if it misses one that
// goes idle in the same moment, it sees it before its next task, or the watch does. One that the
// watch has written off, and counts on no more, pays (share()).
// A task that computes, or blocks its kernel thread without a word, keeps its carrier; the watch, a
// thread of the runtime that sleeps while all carriers do, then has another one go on with the
// tasks behind it (engine_watch.cpp).
// No thread keeps the clock: carriers look at it, and one of those that rest sleeps until the next
// timer (engine_clock.cpp).
// The engine ends after the runtime was told to and no task is left.
// Sources: the idle protocol of Go (runtime/proc.go); Tokio's blocking regions for the replacement.
#pragma once

#include <cstdint>

#include "treadle/base/spin_lock.hpp"
#include "treadle/queue/inject_queue.hpp"
#include "treadle/sched/crowd.hpp"
#include "treadle/task/carrier.hpp"
#include "treadle/task/clock.hpp"
#include "treadle/task/loan_table.hpp"

namespace treadle::tasks {

// The scheduler of tasks' records: only their wake-up and their end come here.
class task_port final : public core::scheduler_port {
 public:
  explicit task_port(engine& of) noexcept { tasks = &of; }
  int create(const core::creation&, core::thread*&) noexcept override;
  void discard(core::thread&) noexcept override;
  core::thread* spawn(core::closure_function, core::small_closure, int&) noexcept override;
  int start(core::thread&) noexcept override;
  core::wake park(core::wait_reason, core::deadline) noexcept override;
  void park_until_set(core::thread&, const base::atomic<bool>&,
                      core::wait_reason) noexcept override;
  void make_ready(core::thread& claimed) noexcept override;
  void yield() noexcept override;
  [[noreturn]] void exit() noexcept override;
  int fork(core::thread&, core::fork_point&) noexcept override;
  void join(core::thread&) noexcept override;
  void reap(core::thread& finished) noexcept override;
  // Of what a task has been lent. In what order tasks go does not depend on it.
  core::thread_loans& loans_of(core::thread& which) noexcept override;
  int set_level(core::thread& which, core::thread_level wanted) noexcept override;
  unsigned width() const noexcept override;
  core::scheduler_counters counters() const noexcept override;
};

class engine {
 public:
  // `home` is where carriers start. `others_go_on`: a thread there that computes, or blocks its
  // kernel thread, does not stop the others.
  engine(core::scheduler_port& home, bool others_go_on) noexcept;
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  core::scheduler_port& home() noexcept { return home_; }
  clock& timers() noexcept { return clock_; }

  // A record for a task, running, with nobody to join it; null without memory.
  [[nodiscard]] core::thread* make_record() noexcept;
  static void free_record(core::thread& record) noexcept;

  // Starts a spawned task, a record that is `running`. From a thread or a task. An errno when there
  // is no carrier and none can be started: the record is then as before.
  [[nodiscard]] int start(core::thread& record) noexcept;

  // For code of tasks, which then comes back to its carrier at once: the task parks until its
  // record is unparked, goes behind all that are ready, or has ended. Its record's `start` says how
  // it goes on, or is called after the end to free the frame when nobody will join.
  static void park_task(core::thread& record, core::wait_reason why) noexcept {
    core::transition(record, core::thread_state::running, core::thread_state::parked, why);
    leave(record, carrier::after::parked);
  }
  static void yield_task(core::thread& record) noexcept { leave(record, carrier::after::yielded); }
  static void end_task(core::thread& record) noexcept { leave(record, carrier::after::ended); }
  // The same for one that is no coroutine, and goes on for a while.
  static void end_at_once(core::thread& record) noexcept;

  // For code of tasks, on `mine`, its carrier. Offers a suspended frame to all carriers; false when
  // there is no room.
  bool fork(carrier& mine, void* frame) noexcept {
    if (!mine.forks_.push(frame)) return false;
    // relaxed: see the file head
    if (idle_.load(base::relaxed) != 0 || mine.is_written_off()) [[unlikely]]
      share_fork(mine);
    return true;
  }
  // The same for one that had no room: it queues with a record, as a task does.
  void queue_fork(core::thread*& record, void* frame) noexcept;
  // What the calling carrier forked last and nobody has taken; else null.
  static void* take_fork() noexcept { return current_carrier().forks_.pop(); }
  // Has `frame` resumed by the calling carrier once the running one has come back.
  static void resume_next(void* frame) noexcept { current_carrier().next_ = frame; }

  // Around the time that a task, whose record this is, holds or waits for an inheriting mutex.
  // std::bad_alloc before it.
  void begin_hold(core::thread& record);
  void end_hold(core::thread& record) noexcept;

  // No carrier waits for work any longer than there are tasks. Once, before the runtime waits for
  // its threads.
  void end() noexcept;

 private:
  friend class carrier;
  friend class task_port;

  // Guess: more carriers than this blocked in threads' waits at once, and tasks wait too.
  static constexpr unsigned carriers_max = 1024;
  // Guess: a busy carrier looks at the queue for all as often as processors do.
  static constexpr std::uint32_t look_interval = 61;
  // Guess: threads wait for so many steps of tasks at most, where nobody preempts.
  static constexpr std::uint32_t yield_interval = 128;

  static void leave(core::thread& record, carrier::after how) noexcept {
    carrier& mine = current_carrier();
    mine.left_ = &record;
    mine.left_by_ = how;
  }
  void make_ready(core::thread& claimed) noexcept;
  void requeue(core::thread& record) noexcept;
  carrier* carrier_of(core::thread* self) noexcept;
  void push(core::thread& record) noexcept;
  void push_woken(carrier& mine, core::thread& record) noexcept;
  void push_last(carrier& mine, core::thread& record) noexcept;
  void push_for_all(core::thread& record) noexcept;
  void overflow(carrier& mine, core::thread& last) noexcept;
  void share(carrier& mine) noexcept;
  bool works_alone(const carrier& mine) const noexcept;
  void share_fork(carrier& mine) noexcept;
  bool wake_one() noexcept;
  // With the lock held.
  void count(int change) noexcept {
    // relaxed, both: under the lock; who reads it without only guesses
    counted_.store(counted_.load(base::relaxed) + static_cast<unsigned>(change), base::relaxed);
  }
  // A guess without the lock. relaxed, both: as above
  bool are_enough() const noexcept {
    return counted_.load(base::relaxed) >= width_ || idle_.load(base::relaxed) != 0;
  }
  int add_carrier() noexcept;
  int ensure_carrier() noexcept;
  carrier* take_seat() noexcept;
  void begin_block(carrier& mine) noexcept;
  void end_block(carrier& mine) noexcept;

  // The watch: awake while a carrier is at work.
  enum class watch : std::uint8_t { none, awake, asleep };
  void open_watch() noexcept;
  void keep_watch() noexcept;
  bool look_at_carriers() noexcept;
  void ask_to_look() noexcept;
  bool anybody_waits() noexcept;
  carrier* write_off_one(bool work_waits, base::chain<core::thread>& stranded) noexcept;
  void end_watch() noexcept;
  [[nodiscard]] core::thread* rouse_watch() noexcept;
  void count_again(carrier& mine) noexcept;
  void recount(carrier& mine) noexcept;

  core::thread_loans& loans_of(core::thread& record) noexcept;
  void change_level(core::thread& record, core::thread_level wanted) noexcept;
  core::priority highest_lent() const noexcept;
  void begin_carrying(carrier& mine, core::thread& self) noexcept;

  void carry(carrier& mine) noexcept;
  bool step(carrier& mine) noexcept;
  void run(carrier& mine, core::thread& record) noexcept;
  void settle(carrier& mine) noexcept;
  void finish_leaving(carrier& mine) noexcept;
  void end_spawned(carrier& mine, core::thread& record) noexcept;
  core::thread* take_woken_next(carrier& mine) noexcept;
  std::size_t fire(carrier& mine) noexcept;
  bool fire_when_idle(carrier& mine) noexcept;
  void fire_overdue() noexcept;
  static void end_busy(carrier& mine) noexcept;
  base::deadline keep_clock(carrier& mine) noexcept;
  bool is_clock_kept() const noexcept;
  void leave_clock(const carrier& mine) noexcept;
  void hand_clock_on() noexcept;
  core::thread* take_elsewhere(carrier& mine, void*& frame) noexcept;
  core::thread* take_injected(carrier& mine) noexcept;
  core::thread* steal(carrier& mine, void*& frame) noexcept;
  bool has_work() noexcept;
  bool is_quiet() noexcept;
  bool rest(carrier& mine) noexcept;
  bool lie_down(carrier& mine, base::deadline& until) noexcept;
  void get_up(carrier& mine) noexcept;

  // Fixed after start.
  core::scheduler_port& home_;
  task_port port_;
  const unsigned width_;
  const bool others_go_on_;
  clock clock_;

  queue::inject_queue<core::thread> injected_;
  base::atomic<std::uint64_t> started_outside_{0};
  // Atomic, written under lock_. seq_cst where a pusher from outside looks: see the file head.
  base::atomic<unsigned> idle_{0};
  // Atomic, written under lock_, without it a guess: carriers whose thread has not ended, nor is in
  // a wait or a blocking call of a task, nor written off.
  base::atomic<unsigned> counted_{0};
  base::atomic<bool> ends_{false};
  base::atomic<std::uint32_t> wakers_{0};  // foreign kernel threads in make_ready()
  // Written under lock_: seats ever taken, in the order of `seats_`.
  base::atomic<unsigned> seats_taken_{0};

  // Guarded by the book of loans, which is locked before lock_.
  loan_table loans_;
  unsigned lent_to_tasks_[2] = {};  // how many are lent a level above the normal one
  core::priority carriers_level_ = core::priority::normal;
  bool changes_carriers_ = false;

  base::spin_lock lock_;
  // Guarded by lock_.
  carrier* first_idle_ = nullptr;
  carrier* keeper_ = nullptr;    // of those that are idle, who sleeps until a timer is due
  std::int64_t kept_for_ = 0;    // that timer
  carrier* follower_ = nullptr;  // who sleeps a little longer than the keeper
  core::crowd crowd_;            // but is_here(): from anywhere
  unsigned written_off_ = 0;
  watch watch_ = watch::none;
  bool watch_ends_ = false;
  core::thread* watcher_ = nullptr;  // null while it starts
  // Fixed once a seat is taken.
  base::atomic<carrier*> seats_[carriers_max] = {};
};

}  // namespace treadle::tasks
