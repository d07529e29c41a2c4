#include "treadle/sched/many_to_one.hpp"

#include <cerrno>
#include <new>

#include "treadle/base/futex.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/context/overflow_report.hpp"

namespace treadle::core {

static_assert(scheduler<many_to_one>);

// Every so many threads: what a busy worker would otherwise never see. While there are threads of
// other levels, every turn or every few: who is next, or null for one of the usual.
thread* many_to_one::look_around(processor& mine, unsigned turn) noexcept {
  if ((turn & look_around_mask) == 0) {
    memory_.give_up_surplus(mine);
    take_due(mine);
    if (events != nullptr && events->in_use()) events->poll(deadline::at(0));
  }
  return mine.turns.pick(levels_, turn, [&mine]() noexcept { return mine.ready.pop_front(); });
}

void many_to_one::take_due(processor& mine) noexcept {
  if (mine.timers.earliest.load(base::relaxed) != timer_queue::no_deadline) {  // relaxed: ours
    mine.looked = base::monotonic_now();
    fire(mine.timers, mine.looked);
  }
  base::chain<thread> taken = injected_.pop(injected_.size());
  mine.ready.append(taken);
}

thread* many_to_one::after_looking_around(processor& mine) noexcept {
  take_due(mine);
  const auto usual = [&mine]() noexcept { return mine.ready.pop_front(); };
  thread* found = mine.turns.pick(levels_, mine.tick(), usual);
  if (found == nullptr) found = usual();
  return found != nullptr ? found : levels_.pop(thread_levels::all);
}

void many_to_one::ready_from_outside(thread& which) noexcept {
  if (which.is_levelled()) {
    push_to_level(which);
  } else {
    injected_.push(&which);
  }
  wake();
}

void many_to_one::wake() noexcept {
  const lone_sleep::bed where = sleep_.wake();
  if (where == lone_sleep::on_futex) {
    base::futex_wake(sleep_.word());
  } else if (where == lone_sleep::in_poller) {
    events->interrupt();
  }
}

void many_to_one::await_recall(std::int64_t until) noexcept {
  wake();
  memory_.await_answer(*processor_, until);
}

// For the next timer, which is not due by now or has just become so.
std::int64_t many_to_one::wakes_at(const processor& mine, bool polls) noexcept {
  const std::int64_t timer = mine.timers.earliest.load(base::relaxed);  // relaxed: ours
  return wake_ahead_.asks_for(mine.looked, timer, polls,
                              [&mine] { return mine.timers.armed_about(); });
}

// Null when the runtime closes.
thread* many_to_one::find_work(processor& mine) noexcept {
  for (;;) {
    if (thread* found = after_looking_around(mine)) return found;
    // Only our own threads make it so: it cannot become true while we sleep.
    const bool polling = events != nullptr && events->in_use();
    sleep_.lie_down(polling ? lone_sleep::in_poller : lone_sleep::on_futex);
    if (!injected_.looks_empty() || !levels_.looks_empty()) {
      sleep_.get_up();
      continue;
    }
    if (closing_.load(base::seq_cst)) return nullptr;
    memory_.give_up_surplus(mine);
    mine.sleeps.add(1);
    const deadline until = deadline::at(wakes_at(mine, polling));
    if (polling) {
      events->poll(until);
    } else {
      const bool away = base::go_away();
      base::futex_wait(sleep_.word(), lone_sleep::on_futex, until);
      if (away) base::come_back();
    }
    sleep_.get_up();
  }
}

void many_to_one::work(processor& mine) noexcept {
  while (thread* next = find_work(mine)) {
    run(mine.self, *next);
  }
}

int many_to_one::prepare_processor() noexcept {
  if (const int error = memory_.open(1)) return error;
  processor_ = new (std::nothrow) processor;
  if (processor_ == nullptr) return ENOMEM;
  processor_->home = this;
  processor_->self.scheduler = this;
  processor_->self.processor = static_cast<fiber_processor*>(processor_);
  return 0;
}

void* many_to_one::worker_main(void* argument) {
  auto& mine = *static_cast<processor*>(argument);
  const context::alternate_signal_stack signals;
  mine.self.adopt_kernel_thread(true);
  mine.home->work(mine);
  mine.self.release_kernel_thread();
  return nullptr;
}

int many_to_one::open() noexcept {
  if (const int error = prepare_processor()) return error;
  const int error = base::create_kernel_thread(&processor_->kernel_thread, nullptr,
                                               &many_to_one::worker_main, processor_);
  if (error != 0) {
    memory_.close(*processor_);
    delete processor_;
    processor_ = nullptr;
  }
  return error;
}

void many_to_one::idle_main(std::uintptr_t message) {
  auto& mine = of(*current_worker_or_null());
  mine.home->begin_idle(mine.self, message);
  mine.home->work(mine);
  TREADLE_CHECK(false, "the main thread's scheduler is never closed");
  __builtin_unreachable();
}

int many_to_one::open_here() noexcept {
  if (const int error = prepare_processor()) return error;
  processor& mine = *processor_;
  context::stack idle_stack;
  if (const int error = memory_.take_for_idle(idle_stack)) {
    memory_.close(mine);
    return error;
  }
  // Lives as long as the kernel thread, which is the process's main thread.
  static context::alternate_signal_stack signals;
  mine.self.adopt_kernel_thread(true);
  thread* record = record_pool::acquire(mine.self.records);
  TREADLE_CHECK(record != nullptr, "no memory to adopt the main thread");
  mine.own_body.set_name("main");
  mine.own_body.note = mine.self.idle_note;
  record->body = &mine.own_body;
  record->resume = {};
  record->bound = true;
  record->forked = false;
  record->scheduler = this;
  record->completion.begin();
  // relaxed: nobody else knows the record yet
  mine.own_body.owner.store(record, base::relaxed);
  mine.self.idle = context::make_frame(idle_stack.top, &many_to_one::idle_main);
  mine.self.idle_note.begin(idle_stack.bottom,
                            static_cast<std::size_t>(idle_stack.top - idle_stack.bottom));
  transition(*record, thread_state::fresh, thread_state::running, wait_reason::none);
  set_current_thread(record);
  return 0;
}

void many_to_one::settle() const noexcept {
  // Guess: as in many_to_many::close(), as is the order of the two reads.
  constexpr std::int64_t poll_nanoseconds = 200'000;
  for (;;) {
    const scheduler_counters now = counters();
    if (now.threads_finished == now.threads_started) break;
    base::atomic<std::uint32_t> never{0};
    base::futex_wait(never, 0, deadline::at(base::monotonic_now() + poll_nanoseconds));
  }
}

void many_to_one::close() noexcept {
  settle();
  wait_for_outside_wakers();
  closing_.store(true, base::seq_cst);  // pairs with find_work()
  wake();
  ::pthread_join(processor_->kernel_thread, nullptr);
  memory_.close(*processor_);
  delete processor_;
  processor_ = nullptr;
}

scheduler_counters many_to_one::counters() const noexcept {
  scheduler_counters sum;
  if (processor_ == nullptr) return sum;
  sum.threads_finished = processor_->finished.get();
  sum.threads_started =
      started_outside_.load(base::acquire) + processor_->started.get();  // acquire: after the ends
  sum.sleeps = processor_->sleeps.get();
  return sum;
}

}  // namespace treadle::core
