// The workloads of peers with threads (kernel or user-level), by name.
//
// What bench/workloads.hpp has is taken from there, over the same adapters as `./do bench`; here is
// what only this comparison has. Beyond bench/workloads.hpp a peer gives:
//
//   baton          pass(who) waits until it is who's turn and makes it the other's: a condition
//                  variable in the peer's idiom
//   scope          for up to 16 children
//   read_at        pread(), or what the peer has in its place
//   has_mutex, has_channels...   told by whether the type is there
#pragma once

#include <memory>
#include <string>

#include "../../workloads.hpp"
#include "gap_workloads.hpp"
#include "kernels.hpp"
#include "mixed_threads.hpp"
#include "program.hpp"

namespace treadle::bench {

/// Two threads and one condition: each waits for its turn and passes it on.
template <class P>
repetition hand_over_by_condition(long rounds) {
  typename P::baton baton;
  const stopwatch watch;
  const auto body = [&baton, rounds](int who) {
    for (long round = 0; round < rounds; ++round) baton.pass(who);
  };
  auto first = P::spawn([&body] { body(0); });
  auto second = P::spawn([&body] { body(1); });
  P::join(first);
  P::join(second);
  return watch.stop(2.0 * static_cast<double>(rounds));
}

/// How many ways there are to complete the board. Rows below queens_forked_rows fork a child for
/// each free square and add up what they return; the others are a loop in one thread.
template <class P>
long count_queens(const board& from) {
  if (from.row >= queens_forked_rows) return count_queens_alone(from);
  std::array<long, queens_size_max> ways{};
  typename P::scope fork;
  for (int column = 0; column < from.size; ++column) {
    if (!from.is_free(column)) continue;
    long* const result = &ways[static_cast<std::size_t>(column)];
    const board next = from.with(column);
    fork.spawn([result, next] { *result = count_queens<P>(next); });
  }
  fork.join();
  long sum = 0;
  for (const long one : ways) sum += one;
  return sum;
}

/// CPU time of the loop without forks. Before the peer begins: its idle workers may spin, and slow
/// down whoever shares a core with them.
inline double seconds_for_queens_alone(long size) {
  const stopwatch watch;
  const volatile long found = count_queens_alone({.size = static_cast<int>(size)});
  static_cast<void>(found);  // kept, so that the compiler keeps the call
  return watch.stop(1).cpu_seconds;
}

template <class P>
repetition queens(long size, double serial_seconds) {
  const board empty = {.size = static_cast<int>(size)};
  const stopwatch watch;
  const long found = count_queens<P>(empty);
  repetition result = watch.stop(1);
  result.serial_seconds = serial_seconds;
  if (found != count_queens_alone(empty)) throw std::runtime_error("the queens were counted wrong");
  return result;
}

/// C += A B by halves: four products that write different quarters, then the four others.
template <class P>
void multiply(const square& c, const square& a, const square& b) {
  if (c.size <= multiply_leaf) {
    multiply_alone(c, a, b);
    return;
  }
  for (int half = 0; half < 2; ++half) {
    typename P::scope fork;
    for (int quarter = 0; quarter < 4; ++quarter) {
      const int row = quarter / 2;
      const int column = quarter % 2;
      fork.spawn(
          [=] { multiply<P>(c.part(row, column), a.part(row, half), b.part(half, column)); });
    }
    fork.join();
  }
}

inline double seconds_for_matrices_alone(long size) {
  matrices made(size);
  const stopwatch watch;
  multiply_all_alone(made);
  return watch.stop(1).cpu_seconds;
}

template <class P>
repetition multiply_matrices(long size, double serial_seconds) {
  matrices made(size);
  multiply_all_alone(made);
  made.forget();
  const stopwatch watch;
  multiply<P>(made.c(), made.a(), made.b());
  repetition result = watch.stop(1);
  result.serial_seconds = serial_seconds;
  made.check();
  return result;
}

/// The workloads whose objects not every peer has.
template <class P>
std::function<repetition()> find_optional(const order& asked) {
  const std::string& name = asked.workload;
  const long count = asked.count;
  if constexpr (requires { typename P::unbuffered; }) {
    if (name == "channel_unbuffered") {
      return [=] { return through_a_channel<P, typename P::unbuffered>(0, 1, count); };
    }
    if (name == "channel_buffered") {
      return [=] { return through_a_channel<P, typename P::buffered>(1024, 1, count); };
    }
  }
  if constexpr (requires { typename P::mutex; }) {
    if (name.starts_with("mutex_64_")) {
      const auto turns = turns_lasting(static_cast<double>(asked.more));
      return [=] { return lock_by_64<P>(count, asked.more == 0 ? 0 : turns); };
    }
    if (name == "mixed") return [=] { return mixed_by_threads<P>(count).run(); };
  }
  throw no_such_workload{};
}

template <class P>
std::function<repetition()> find(const order& asked) {
  const std::string& name = asked.workload;
  const long count = asked.count;
  if (name == "yield") return [=] { return yield_between_two<P>(count); };
  if (name == "spawn_join") return [=] { return spawn_and_join<P>(count); };
  if (name == "bulk_spawn") return [=] { return spawn_all_then_join<P>(count); };
  if (name == "handoff_semaphore") return [=] { return hand_over<P>(count); };
  if (name == "handoff_condition") return [=] { return hand_over_by_condition<P>(count); };
  if (name == "fib") return [=] { return fibonacci_tree<P>(count); };
  if (name == "skynet") return [=] { return skynet_tree<P>(count); };
  if (name == "queens") {
    return [=, alone = seconds_for_queens_alone(count)] { return queens<P>(count, alone); };
  }
  if (name == "matrix") {
    return [=, alone = seconds_for_matrices_alone(count)] {
      return multiply_matrices<P>(count, alone);
    };
  }
  if (name == "sleepers") return [=] { return sleep_in_a_crowd<P>(count); };
  if (name.starts_with("parked_")) return [=] { return park_many<P>(count); };
  if (name.starts_with("gap_")) {
    return [=, disturb = find_disturbance(asked)] { return longest_gap<P>(count, disturb); };
  }
  return find_optional<P>(asked);
}

/// 64 KiB of stack for those who only park, the peer's own size for the rest.
template <class P>
void measure_threads(const order& asked) {
  const bool parks = asked.workload.starts_with("parked_");
  const std::function<repetition()> once = find<P>(asked);
  P::enter(asked.workers, parks ? std::size_t{64} << 10 : 0, [&] { report(asked, once, parks); });
}

}  // namespace treadle::bench
