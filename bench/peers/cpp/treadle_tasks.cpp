// The peer "treadle-tasks": C++20 coroutines on the processors of the m:n runtime, through
// <treadle/co.hpp> and nothing else. The workloads mean what thread_workloads.hpp says.
#include <treadle/treadle.hpp>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <vector>

#include "gap_workloads.hpp"
#include "kernels.hpp"
#include "mixed_tasks.hpp"
#include "program.hpp"
#include "treadle_task_servers.hpp"

namespace treadle::bench {
namespace {

using handle = task_handle<>;

task<> nothing() { co_return; }

task<> yields(long times) {
  for (long turn = 0; turn < times; ++turn) co_await co::yield();
}

task<> gives_then_takes(counting_semaphore<>& gives, counting_semaphore<>& takes, long rounds) {
  for (long round = 0; round < rounds; ++round) {
    gives.release();
    co_await co::acquire(takes);
  }
}

task<> takes_then_gives(counting_semaphore<>& takes, counting_semaphore<>& gives, long rounds) {
  for (long round = 0; round < rounds; ++round) {
    co_await co::acquire(takes);
    gives.release();
  }
}

struct baton {
  mutex lock;
  condition_variable changed;
  int turn = 0;
};

task<> passes(baton& with, int who, long rounds) {
  for (long round = 0; round < rounds; ++round) {
    {
      auto held = co_await co::lock(with.lock);
      while (with.turn != who) co_await co::wait(with.changed, held);
      with.turn = 1 - who;
    }
    with.changed.notify_one();
  }
}

task<> sends(channel<long>& to, long values) {
  for (long value = 1; value <= values; ++value) co_await co::send(to, value);
  to.close();
}

task<> receives(channel<long>& from, long& sum) {
  for (;;) {
    const auto got = co_await co::receive(from);
    if (!got) co_return;
    sum += *got;
  }
}

struct lock_state {
  mutex lock;
  std::uint64_t counted = 0;  // guarded by lock, as are `spent` and `longest`
  std::uint64_t spent = 1;
  double longest = 0;
};

task<> locks(lock_state& with, long times, std::uint64_t turns, bool timed) {
  for (long turn = 0; turn < times; ++turn) {
    const double before = timed ? read_clock(CLOCK_MONOTONIC) : 0;
    const auto held = co_await co::lock(with.lock);
    if (timed) with.longest = std::max(with.longest, read_clock(CLOCK_MONOTONIC) - before);
    ++with.counted;
    if (turns != 0) with.spent = spend(turns, with.spent);
  }
}

task<> sleeps(std::uint32_t milliseconds, double& late) {
  const double start = read_clock(CLOCK_MONOTONIC);
  co_await co::sleep_for(std::chrono::milliseconds(milliseconds));
  late = read_clock(CLOCK_MONOTONIC) - start - milliseconds * 1e-3;
}

task<> parks(counting_semaphore<>& gate, std::atomic<long>& arrived, std::atomic<long>& left) {
  arrived.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count, no data
  co_await co::acquire(gate);
  left.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count, no data
}

task<long> fib(long n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await co::when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

task<long> skynet(long number, long leaves) {
  if (leaves == 1) co_return number;
  std::vector<task<long>> children;
  children.reserve(10);
  for (long child = 0; child < 10; ++child) {
    children.push_back(skynet(number + child * (leaves / 10), leaves / 10));
  }
  const std::vector<long> sums = co_await co::when_all(std::move(children));
  long total = 0;
  for (const long sum : sums) total += sum;
  co_return total;
}

task<long> queens(board from) {
  if (from.row >= queens_forked_rows) co_return count_queens_alone(from);
  std::vector<task<long>> children;
  for (int column = 0; column < from.size; ++column) {
    if (from.is_free(column)) children.push_back(queens(from.with(column)));
  }
  const std::vector<long> ways = co_await co::when_all(std::move(children));
  long sum = 0;
  for (const long one : ways) sum += one;
  co_return sum;
}

task<> multiply(square c, square a, square b) {
  if (c.size <= multiply_leaf) {
    multiply_alone(c, a, b);
    co_return;
  }
  for (int half = 0; half < 2; ++half) {
    co_await co::when_all(multiply(c.part(0, 0), a.part(0, half), b.part(half, 0)),
                          multiply(c.part(0, 1), a.part(0, half), b.part(half, 1)),
                          multiply(c.part(1, 0), a.part(1, half), b.part(half, 0)),
                          multiply(c.part(1, 1), a.part(1, half), b.part(half, 1)));
  }
}

task<> ticks(const std::atomic<bool>& done, double& longest) {
  double last = read_clock(CLOCK_MONOTONIC);
  while (!done.load(std::memory_order_acquire)) {  // pairs with disturbs()
    co_await co::sleep_for(std::chrono::milliseconds(1));
    const double now = read_clock(CLOCK_MONOTONIC);
    longest = std::max(longest, now - last - 1e-3);
    last = now;
  }
}

task<> disturbs(std::atomic<bool>& done, long times, const std::function<void()>& disturb) {
  for (long time = 0; time < times; ++time) {
    co_await co::sleep_for(std::chrono::milliseconds(5));
    disturb();
  }
  done.store(true, std::memory_order_release);  // pairs with ticks()
}

/// Starts both, waits for both.
repetition run_two(double operations, task<> first, task<> second) {
  const stopwatch watch;
  handle one = spawn(std::move(first));
  handle two = spawn(std::move(second));
  one.join();
  two.join();
  return watch.stop(operations);
}

task<> spawns_and_joins(long tasks) {
  for (long made = 0; made < tasks; ++made) {
    handle child = spawn(nothing());
    co_await std::move(child);
  }
}

task<> spawns_all_then_joins(long tasks) {
  std::vector<handle> children;
  children.reserve(static_cast<std::size_t>(tasks));
  for (long made = 0; made < tasks; ++made) children.push_back(spawn(nothing()));
  for (handle& child : children) co_await std::move(child);
}

repetition run_one(double operations, task<> which) {
  const stopwatch watch;
  block_on(std::move(which));
  return watch.stop(operations);
}

repetition through(long capacity, long values) {
  channel<long> between(static_cast<std::size_t>(capacity));
  long sum = 0;
  const repetition result =
      run_two(static_cast<double>(values), sends(between, values), receives(between, sum));
  if (sum != values * (values + 1) / 2) throw std::runtime_error("a value was lost");
  return result;
}

repetition lock_by_64(long each, std::uint64_t turns, bool timed) {
  constexpr long tasks = 64;
  lock_state shared;
  std::vector<handle> children;
  const stopwatch watch;
  for (long made = 0; made < tasks; ++made) {
    children.push_back(spawn(locks(shared, each, turns, timed)));
  }
  for (handle& child : children) child.join();
  repetition result = watch.stop(static_cast<double>(tasks * each));
  if (shared.counted != static_cast<std::uint64_t>(tasks * each)) {
    throw std::runtime_error("the mutex did not exclude: the count is wrong");
  }
  result.longest_wait = shared.longest;
  return result;
}

repetition sleep_in_a_crowd(long tasks) {
  std::vector<double> late(static_cast<std::size_t>(tasks));
  std::vector<handle> children;
  children.reserve(late.size());
  std::uint32_t random = 1;
  const stopwatch watch;
  for (double& mine : late) {
    random = random * 1664525 + 1013904223;  // as in bench/workloads.hpp
    children.push_back(spawn(sleeps((random >> 16) % 1001, mine)));
  }
  for (handle& child : children) child.join();
  repetition result = watch.stop(static_cast<double>(tasks));
  std::sort(late.begin(), late.end());
  if (late.front() < -1e-8) throw std::runtime_error("a sleeper woke early");
  result.median_late = late[late.size() / 2];
  result.worst_late = late.back();
  return result;
}

repetition park_many(long tasks) {
  auto& gate = *new counting_semaphore<>(0);  // on the heap: the tasks may still be leaving
  auto& arrived = *new std::atomic<long>(0);
  auto& left = *new std::atomic<long>(0);
  const double before = resident_bytes();
  const stopwatch watch;
  for (long made = 0; made < tasks; ++made) spawn(parks(gate, arrived, left)).detach();
  // relaxed, here and below: only the number matters
  while (arrived.load(std::memory_order_relaxed) < tasks) this_thread::yield();
  this_thread::yield();  // the last one may have counted and not yet parked
  repetition result = watch.stop(static_cast<double>(tasks));
  result.bytes = resident_bytes() - before;
  for (long woken = 0; woken < tasks; ++woken) gate.release();
  while (left.load(std::memory_order_relaxed) < tasks) this_thread::yield();
  return result;
}

/// As in bench/workloads.hpp: how often fib(n) forks.
double forks_of_fib(long n) {
  double forks = 1;
  for (double before = 0; n > 0; --n) {
    const double next = forks + before;
    before = forks;
    forks = next;
  }
  return forks - 1;
}

repetition fibonacci_tree(long n) {
  const stopwatch watch;
  const long value = block_on(fib(n));
  const repetition result = watch.stop(forks_of_fib(n));
  if (value < n - 1) throw std::runtime_error("fib gave a wrong number");
  return result;
}

repetition skynet_tree(long leaves) {
  double spawned = 0;
  for (long row = leaves; row > 1; row /= 10) spawned += static_cast<double>(row);
  const stopwatch watch;
  const long value = block_on(skynet(0, leaves));
  const repetition result = watch.stop(spawned);
  if (value != leaves * (leaves - 1) / 2) throw std::runtime_error("skynet gave a wrong sum");
  return result;
}

repetition place_queens(long size) {
  const board empty = {.size = static_cast<int>(size)};
  const stopwatch serial_watch;
  const long expected = count_queens_alone(empty);
  const repetition serial = serial_watch.stop(1);
  const stopwatch watch;
  const long found = block_on(queens(empty));
  repetition result = watch.stop(1);
  result.serial_seconds = serial.cpu_seconds;
  if (found != expected) throw std::runtime_error("the queens were counted wrong");
  return result;
}

repetition multiply_matrices(long size) {
  matrices made(size);
  const stopwatch serial_watch;
  multiply_all_alone(made);
  const repetition serial = serial_watch.stop(1);
  made.forget();
  repetition result = run_one(1, multiply(made.c(), made.a(), made.b()));
  result.serial_seconds = serial.cpu_seconds;
  made.check();
  return result;
}

repetition hand_over(long rounds) {
  counting_semaphore<> there(0);
  counting_semaphore<> back(0);
  return run_two(2.0 * static_cast<double>(rounds), gives_then_takes(there, back, rounds),
                 takes_then_gives(there, back, rounds));
}

repetition hand_over_by_condition(long rounds) {
  baton with;
  return run_two(2.0 * static_cast<double>(rounds), passes(with, 0, rounds),
                 passes(with, 1, rounds));
}

repetition longest_gap_of_tasks(long times, const std::function<void()>& disturb) {
  std::atomic<bool> done{false};
  double longest = 0;
  repetition result =
      run_two(static_cast<double>(times), ticks(done, longest), disturbs(done, times, disturb));
  result.longest_wait = longest;
  return result;
}

std::function<repetition()> find(const order& asked) {
  const std::string& name = asked.workload;
  const long n = asked.count;
  const auto operations = static_cast<double>(n);
  if (name == "yield") return [=] { return run_two(2 * operations, yields(n), yields(n)); };
  if (name == "spawn_join") return [=] { return run_one(operations, spawns_and_joins(n)); };
  if (name == "bulk_spawn") return [=] { return run_one(operations, spawns_all_then_joins(n)); };
  if (name == "handoff_semaphore") return [=] { return hand_over(n); };
  if (name == "handoff_condition") return [=] { return hand_over_by_condition(n); };
  if (name == "channel_unbuffered") return [=] { return through(0, n); };
  if (name == "channel_buffered") return [=] { return through(1024, n); };
  if (name == "fib") return [=] { return fibonacci_tree(n); };
  if (name == "skynet") return [=] { return skynet_tree(n); };
  if (name == "queens") return [=] { return place_queens(n); };
  if (name == "matrix") return [=] { return multiply_matrices(n); };
  if (name == "mixed") return [=] { return mixed_by_tasks(n).run(); };
  if (name == "sleepers") return [=] { return sleep_in_a_crowd(n); };
  if (name.starts_with("parked_")) return [=] { return park_many(n); };
  if (name.starts_with("mutex_64_")) {
    const auto inside = static_cast<double>(asked.more);
    const std::uint64_t turns = asked.more == 0 ? 0 : turns_lasting(inside);
    return [=] {
      repetition result = lock_by_64(n, turns, false);
      result.longest_wait = lock_by_64(n, turns, true).longest_wait;
      return result;
    };
  }
  if (name.starts_with("gap_")) {
    return [=, disturb = find_disturbance(asked)] { return longest_gap_of_tasks(n, disturb); };
  }
  throw no_such_workload{};
}

// As in bench/peer_treadle.hpp: the runtime is never destroyed.
void measure(const order& asked) {
  const bool serves = is_server(asked.workload);
  const std::function<repetition()> once = serves ? nullptr : find(asked);
  runtime_options options;
  options.model = model::many_to_many;
  options.width = asked.workers;
  auto* const made = new runtime(options);
  if (serves) made->run([&] { serve_by_tasks(asked.workload); });
  made->run([&] { report(asked, once, asked.workload.starts_with("parked_")); });
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "Treadle " TREADLE_VERSION,
                                     treadle::bench::measure);
}
