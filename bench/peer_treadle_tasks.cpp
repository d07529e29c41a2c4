// The tasks behind task_workloads.hpp.
#include <stop_token>
#include <treadle/co.hpp>

#include <stdexcept>

#include "task_workloads.hpp"
#include "workloads.hpp"

namespace treadle::bench {
namespace {

task<long> one(long value) { co_return value; }

task<long> awaits(long tasks) {
  long sum = 0;
  for (long i = 0; i < tasks; ++i) sum += co_await one(i);
  co_return sum;
}

task<long> fib(long n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await co::when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

task<> sleeps(std::atomic<long>& arrived) {
  arrived.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count, no data
  co_await co::sleep_for(std::chrono::hours(1));
}

}  // namespace

repetition await_tasks(long tasks) {
  const stopwatch watch;
  const long sum = block_on(awaits(tasks));
  const repetition result = watch.stop(static_cast<double>(tasks));
  if (sum != tasks * (tasks - 1) / 2) throw std::runtime_error("awaited tasks gave a wrong sum");
  return result;
}

repetition task_tree(long n) {
  long spawns = 1;  // as in fibonacci_tree()
  for (long before = 0, step = 0; step < n; ++step) {
    const long next = spawns + before;
    before = spawns;
    spawns = next;
  }
  const stopwatch watch;
  const long value = block_on(fib(n));
  const repetition result = watch.stop(2.0 * static_cast<double>(spawns - 1));
  if (value < n - 1) throw std::runtime_error("fib gave a wrong number");
  return result;
}

repetition sleep_as_tasks(long tasks) {
  std::atomic<long> arrived{0};
  const double before = resident_bytes();
  const stopwatch watch;
  for (long made = 0; made < tasks; ++made) spawn(sleeps(arrived)).detach();
  // relaxed: only the number matters
  while (arrived.load(std::memory_order_relaxed) < tasks) this_thread::yield();
  repetition result = watch.stop(static_cast<double>(tasks));
  result.bytes = resident_bytes() - before;
  return result;
}

}  // namespace treadle::bench
