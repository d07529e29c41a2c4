// The calls of the port that no task makes: it waits by its awaiters, and runs on a carrier.
#include "treadle/base/check.hpp"
#include "treadle/task/engine.hpp"

namespace treadle::tasks {
namespace {

[[noreturn]] void refuse() noexcept { base::fail_check("a task is used as a thread", __FILE__, 0); }

}  // namespace

int task_port::create(const core::creation&, core::thread*&) noexcept { refuse(); }
void task_port::discard(core::thread&) noexcept { refuse(); }
core::thread* task_port::spawn(core::closure_function, core::small_closure, int&) noexcept {
  refuse();
}
int task_port::start(core::thread&) noexcept { refuse(); }
core::wake task_port::park(core::wait_reason, core::deadline) noexcept { refuse(); }
void task_port::park_until_set(core::thread&, const base::atomic<bool>&,
                               core::wait_reason) noexcept {
  refuse();
}
void task_port::yield() noexcept { refuse(); }
void task_port::exit() noexcept { refuse(); }
int task_port::fork(core::thread&, core::fork_point&) noexcept { refuse(); }
void task_port::join(core::thread&) noexcept { refuse(); }
unsigned task_port::width() const noexcept { return tasks->home_.width(); }
core::scheduler_counters task_port::counters() const noexcept { return {}; }

void task_port::make_ready(core::thread& claimed) noexcept { tasks->make_ready(claimed); }
void task_port::reap(core::thread& finished) noexcept { engine::free_record(finished); }
core::thread_loans& task_port::loans_of(core::thread& which) noexcept {
  return tasks->loans_of(which);
}
int task_port::set_level(core::thread& which, core::thread_level wanted) noexcept {
  tasks->change_level(which, wanted);
  return 0;
}

}  // namespace treadle::tasks
