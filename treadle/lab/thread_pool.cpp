// thread-pool: a fixed pool spares the creation cost of each task.
#include <fmt/format.h>

#include <functional>
#include <vector>

#include "treadle/condition_variable.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/mutex.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

constexpr std::uint64_t kernel_tasks = 1'000;
constexpr std::uint64_t user_tasks = 10'000;

// A task: guess, the length of a small request's work in memory.
constexpr double task_nanoseconds = 1'000;

// Costs of creation vary with what the CPUs do besides; the pool's own queue costs something too.
constexpr double tolerance = 2;

// The pool of the textbooks: one queue, one lock, one condition, a fixed number of threads.
class pool {
 public:
  explicit pool(unsigned size) {
    for (unsigned index = 0; index < size; ++index) {
      threads_.emplace_back([this] { work(); });
    }
  }
  ~pool() {
    {
      const std::lock_guard hold(lock_);
      ending_ = true;
    }
    changed_.notify_all();
    for (thread& each : threads_) each.join();
  }
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  void submit(std::uint64_t turns) {
    {
      const std::lock_guard hold(lock_);
      waiting_.push_back(turns);
      ++unfinished_;
    }
    changed_.notify_one();
  }
  void wait_for_all() {
    std::unique_lock hold(lock_);
    idle_.wait(hold, [this] { return unfinished_ == 0; });
  }

 private:
  void work() {
    std::unique_lock hold(lock_);
    for (;;) {
      changed_.wait(hold, [this] { return ending_ || next_ < waiting_.size(); });
      if (next_ == waiting_.size()) return;
      const std::uint64_t turns = waiting_[next_++];
      hold.unlock();
      spin(turns);
      hold.lock();
      if (--unfinished_ == 0) {
        waiting_.clear();
        next_ = 0;
        idle_.notify_all();
      }
    }
  }

  mutex lock_;
  condition_variable changed_;
  condition_variable idle_;
  // Guarded by lock_.
  std::vector<std::uint64_t> waiting_;
  std::size_t next_ = 0;
  std::uint64_t unfinished_ = 0;
  bool ending_ = false;
  std::vector<thread> threads_;  // fixed after start
};

// Time and cost of a task. They differ where several CPUs work at a time.
struct task_times {
  double wall = 0;
  double cost = 0;
};

class task_watch {
 public:
  explicit task_watch(treadle::model of)
      : wall_(of == model::many_to_one ? time_kind::cpu : time_kind::wall), cost_(cost_clock(of)) {}
  task_times each_of(std::uint64_t tasks) const {
    const auto count = static_cast<double>(tasks);
    return {wall_.nanoseconds() / count, cost_.nanoseconds() / count};
  }

 private:
  stopwatch wall_;
  stopwatch cost_;
};

task_times with_a_thread_each(treadle::model of, std::uint64_t tasks, std::uint64_t turns) {
  std::vector<thread> threads(tasks);
  const task_watch watch(of);
  for (thread& each : threads) each = thread([turns] { spin(turns); });
  for (thread& each : threads) each.join();
  return watch.each_of(tasks);
}

task_times with_a_pool(treadle::model of, pool& workers, std::uint64_t tasks, std::uint64_t turns) {
  const task_watch watch(of);
  for (std::uint64_t task = 0; task < tasks; ++task) workers.submit(turns);
  workers.wait_for_all();
  return watch.each_of(tasks);
}

template <class Measure>
std::vector<task_times> several(unsigned times, Measure&& measure) {
  (void)measure();  // the first round maps the stacks
  std::vector<task_times> seen;
  for (unsigned turn = 0; turn < times; ++turn) seen.push_back(measure());
  return seen;
}

sample field_of(const std::vector<task_times>& seen, double task_times::*field) {
  std::vector<double> values;
  for (const task_times& each : seen) values.push_back(each.*field);
  return summarise(std::move(values));
}

sample per_second(const sample& each) {
  return map(each, [](double value) { return formula::nanoseconds_per_second / value; });
}

void run(lab_context& lab) {
  const sample create = bulk_create_cost(lab, lab.model());
  const std::uint64_t turns = turns_lasting(lab, task_nanoseconds);
  const std::uint64_t tasks = lab.model() == model::one_to_one ? kernel_tasks : user_tasks;
  const unsigned processors = lab.model() == model::many_to_one ? 1 : lab.width();

  runtime own{{.model = lab.model()}};
  std::vector<task_times> each;
  std::vector<task_times> pooled;
  own.run([&] {
    each =
        several(lab.repetitions(), [&] { return with_a_thread_each(lab.model(), tasks, turns); });
    pool fixed(processors);
    pooled =
        several(lab.repetitions(), [&] { return with_a_pool(lab.model(), fixed, tasks, turns); });
  });

  // Creation and work overlap when there are several processors; the sum is the slowest case.
  const double slowest = formula::nanoseconds_per_second / (task_nanoseconds + create.median);
  lab.report_shared(judge(
      lab.of("tasks, a thread each", "tasks/s", "rate", fmt::format("{} each", lab.model_name())),
      at_least(slowest, 1.25,
               "1 / (w + create) with w = 1 us and " + named("create", create.median, "ns")),
      per_second(field_of(each, &task_times::wall))));
  lab.report_shared(judge(lab.of(fmt::format("tasks, a pool of {}", processors), "tasks/s", "rate",
                                 fmt::format("{} pool", lab.model_name())),
                          at_least(slowest, 1.25, "no slower than a thread each is predicted"),
                          per_second(field_of(pooled, &task_times::wall))));
  const double pool_cost = field_of(pooled, &task_times::cost).median;
  const sample saved =
      map(field_of(each, &task_times::cost), [&](double value) { return value - pool_cost; });
  // The difference of two times of a task is no better than those are: guess, a tenth.
  const double noise = task_nanoseconds / 10;
  const std::string basis = "the creation cost measured in bulk, without any work";
  const subject row =
      lab.of("saved by the pool on each task", "ns", "saved", fmt::format("{}", lab.model_name()));
  if (lab.model() == model::one_to_one) {
    lab.report_shared(judge(row, about(create.median, tolerance, basis, noise), saved));
  } else {
    lab.report_shared(judge(row, at_most(create.median, tolerance, basis, noise), saved,
                            "less than nothing means that a thread each is the faster way"));
  }
}

}  // namespace

const experiment thread_pool{
    .id = "thread-pool",
    .title = "A pool, or a thread for each task",
    .claim = "A fixed pool of threads spares every task the cost of creating a thread.",
    .method =
        "Tasks of one microsecond are done by a thread each and by a fixed pool of as many "
        "threads as processors, with one queue, one lock and one condition variable.",
    .look =
        "Kernel threads need the pool. With user threads a thread for each task is about as "
        "fast as a pool, and simpler.",
    .plots = {{.key = "rate", .title = "Tasks a second", .unit = "tasks/s", .logarithmic = true},
              {.key = "saved", .title = "Saved by the pool on each task", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
