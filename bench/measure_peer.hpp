// A child's measurement of one peer: which workload, how much of it, how often.
//
// measure_peer() is a template over the peer; each peer has a source file of its own that
// instantiates it, because the headers of two peers do not always agree (Boost.Fiber has macros
// with everyday names) and because they compile side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "catalogue.hpp"
#include "child.hpp"
#include "measure.hpp"
#include "task_workloads.hpp"
#include "workloads.hpp"

namespace treadle::bench {

// How much a fast peer does in one repetition: 15 to 100 ms, long against the clocks and short
// enough for the whole table to end in minutes (measured: this program on two cores at 2 GHz).
inline constexpr long switch_turns = 3'000'000;
inline constexpr long yields = 1'500'000;
inline constexpr long threads_in_turn = 1'000'000;
inline constexpr long hand_over_rounds = 1'000'000;
inline constexpr long lock_pairs = 2'000'000;
inline constexpr long read_sections = 10'000'000;
// The definition of the workloads.
inline constexpr long locks_each = 10'000;
inline constexpr long loop_elements = 1'000'000;
inline constexpr long parked_threads = 1'000'000;
inline constexpr std::size_t parked_stack_bytes = 64 * 1024;
// --quick does this much less of everything that is counted.
inline constexpr long quick_divisor = 100;

/// Prints the result and ends the process at once; pools and workers of the peer die with it.
[[noreturn]] void report(const std::vector<repetition>& repetitions);

template <class F>
std::vector<repetition> repeat(unsigned times, bool warm_up, F&& once) {
  if (warm_up) once();
  std::vector<repetition> result;
  for (unsigned time = 0; time < times; ++time) result.push_back(once());
  return result;
}

template <class P>
repetition measure_once(const child_order& order, std::uint64_t turns) {
  const long less = order.quick ? quick_divisor : 1;
  const std::string& name = order.workload;
  if (name == "yield") return yield_between_two<P>(yields / P::step_divisor / less);
  if (name == "spawn_join") return spawn_and_join<P>(threads_in_turn / P::spawn_divisor / less);
  if (name == "bulk_spawn") return spawn_all_then_join<P>(P::bulk_threads / less);
  if (name == "handoff" || name == "handoff_2w") {
    return hand_over<P>(hand_over_rounds / P::step_divisor / less);
  }
  const long values = 2 * hand_over_rounds / P::step_divisor / less;
  if (name == "chan_unbuffered") {
    return through_a_channel<P, typename P::unbuffered>(0, 1, values);
  }
  if (name == "chan_buffered_1x1") {
    return through_a_channel<P, typename P::buffered>(1024, 1, values);
  }
  if (name == "chan_buffered_8x8") {
    return through_a_channel<P, typename P::buffered>(1024, 8, values);
  }
  if constexpr (requires(std::array<typename P::buffered, 4> & four, long& value) {
                  P::get_from_any(four, value);
                }) {
    if (name == "select_4") return receive_what_is_there<P>(values, order.peer != "one-receive");
  }
  if (name == "mutex_uncontended") return lock_alone<P>(lock_pairs / less);
  if constexpr (requires { typename P::shared_mutex; }) {
    if (name == "shared_mutex_read") return read_together<P>(lock_pairs / less, order.workers);
  }
  if constexpr (requires { typename P::read_mostly; }) {
    if (name == "rcu_read") return read_beside_a_writer<P>(read_sections / P::step_divisor / less);
  }
  if (name == "mutex_64_L0") return lock_by_64<P>(locks_each / less, 0);
  if (name == "mutex_64_L100") return lock_by_64<P>(locks_each / less, turns);
  if (name == "mutex_64_L1000") return lock_by_64<P>(locks_each / 10 / less, turns);
  if (name == "sleepers") return sleep_in_a_crowd<P>(P::bulk_threads / less);
  if (name == "parked_1m") return park_many<P>(parked_threads / less);
  if (name == "fib") return fibonacci_tree<P>(order.quick ? 10 : P::fib_argument);
  if (name == "skynet") return skynet_tree<P>(order.quick ? 1000 : P::skynet_leaves);
  if constexpr (requires { P::parallel_for(1U, 1L, [](long) {}); }) {
    if (name == "parallel_for") {
      return loop_in_parallel<P>(order.workers, loop_elements / less, turns);
    }
  }
  if constexpr (P::has_tasks) {
    if (name == "task_await") return await_tasks(threads_in_turn / less);
    if (name == "task_fib") return task_tree(order.quick ? 10 : P::fib_argument);
    if (name == "sleeping_tasks") return sleep_as_tasks(parked_threads / less);
  }
  throw std::runtime_error("workload " + name + " is not for this peer");
}

template <class P>
[[noreturn]] void measure_peer(const child_order& order) {
  const bool memory = order.workload == "parked_1m";
  const bool once = find_workload(order.workload)->one_at_a_time;
  const std::uint64_t turns =
      order.workload == "mutex_64_L100" ? turns_lasting(long_section_nanoseconds)
      : order.workload == "mutex_64_L1000" || order.workload == "parallel_for"
          ? turns_lasting(loop_body_nanoseconds)
          : 0;
  P::enter(order.workers, memory ? parked_stack_bytes : 0, [&] {
    // No warm-up for memory: what a first thread leaves behind belongs to what threads cost.
    report(
        repeat(once ? 1 : order.repetitions, !once, [&] { return measure_once<P>(order, turns); }));
  });
  throw std::runtime_error("the peer came back without figures");
}

enum class treadle_model { many_to_one, many_to_many };

[[noreturn]] void measure_treadle(const child_order& order, treadle_model model);
[[noreturn]] void measure_nptl(const child_order& order);
[[noreturn]] void measure_boost_fiber(const child_order& order);

}  // namespace treadle::bench
