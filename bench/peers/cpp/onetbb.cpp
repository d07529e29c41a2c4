// The peer "onetbb": tasks that fork and join, by task_group inside a task_arena of that many
// workers. It has no threads that wait for each other, so it has these workloads only.
//
// As its documentation writes it: a task_group on the stack of the caller, whose wait() helps.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/version.h>

#include <stdexcept>
#include <vector>

#include "../../workloads.hpp"
#include "kernels.hpp"
#include "program.hpp"
#include "thread_workloads.hpp"

namespace treadle::bench {
namespace {

struct tbb_tasks {
  struct scope {
    tbb::task_group group;
    template <class F>
    void spawn(F&& f) {
      group.run(std::forward<F>(f));
    }
    void join() { group.wait(); }
  };
};

repetition run_and_wait(long tasks) {
  tbb::task_group group;  // may be used again after each wait()
  const stopwatch watch;
  for (long made = 0; made < tasks; ++made) {
    group.run([] {});
    group.wait();
  }
  return watch.stop(static_cast<double>(tasks));
}

repetition run_all_then_wait(long tasks) {
  const stopwatch watch;
  tbb::task_group group;
  for (long made = 0; made < tasks; ++made) group.run([] {});
  group.wait();
  return watch.stop(static_cast<double>(tasks));
}

std::function<repetition()> find_tasks(const order& asked) {
  const std::string& name = asked.workload;
  const long count = asked.count;
  if (name == "spawn_join") return [=] { return run_and_wait(count); };
  if (name == "bulk_spawn") return [=] { return run_all_then_wait(count); };
  if (name == "fib") return [=] { return fibonacci_tree<tbb_tasks>(count); };
  if (name == "skynet") return [=] { return skynet_tree<tbb_tasks>(count); };
  if (name == "queens") {
    return [=, alone = seconds_for_queens_alone(count)] { return queens<tbb_tasks>(count, alone); };
  }
  if (name == "matrix") {
    return [=, alone = seconds_for_matrices_alone(count)] {
      return multiply_matrices<tbb_tasks>(count, alone);
    };
  }
  throw no_such_workload{};
}

void measure(const order& asked) {
  const std::function<repetition()> once = find_tasks(asked);
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, asked.workers);
  tbb::task_arena arena(static_cast<int>(asked.workers));
  arena.execute([&] { report(asked, once); });
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "oneTBB " TBB_VERSION_STRING,
                                     treadle::bench::measure);
}
