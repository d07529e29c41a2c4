// The table behind catalogue.hpp. The bars are the ones the project set itself from the best peer
// known for each workload; docs/performance.md names those peers.
#include "catalogue.hpp"

#include <fmt/format.h>

#include <utility>

namespace treadle::bench {
namespace {

using enum bar_unit;
using enum quantity;

std::string_view unit_of(quantity value) {
  switch (value) {
    case nanoseconds_each:
    case nanoseconds_over:
      return "ns";
    case millions_a_second:
      return "Mop/s";
    case bytes_each:
      return "B";
    case times_serial:
      return "x";
    case crowd_seconds:
    case tree_seconds:
      return "s";
  }
  return {};
}

/// For each bar a number of workers; all peers that have threads.
workload make(std::string_view name, std::string_view what, quantity value, std::vector<bar> bars) {
  workload made = {name, what, unit_of(value), value, false, false, {}, {}, std::move(bars)};
  for (const bar& limit : made.bars) made.workers.push_back(limit.workers);
  made.peers = {"treadle", "treadle-m:1", "nptl", "boost.fiber"};
  return made;
}

workload on_cpu_time(workload made) {
  made.always_cpu = true;
  return made;
}

workload one_at_a_time(workload made) {
  made.one_at_a_time = true;
  return made;
}

workload among(std::vector<std::string_view> peers, workload made) {
  made.peers = std::move(peers);
  return made;
}

std::vector<workload> make_catalogue() {
  return {
      among({"fcontext", "treadle"},
            make("switch", "raw switch between two contexts", nanoseconds_each, {{1, 0.5, f}})),
      make("yield", "two threads yield to each other", nanoseconds_each, {{1, 2, f}}),
      make("spawn_join", "spawn and join, one after another", nanoseconds_each,
           {{1, 5, f}, {2, 12, f}}),
      make("bulk_spawn", "spawn 100,000 threads, then join all", nanoseconds_each, {{1, 14, f}}),
      make("handoff", "two threads hand over through two semaphores", nanoseconds_each,
           {{1, 3, f}}),
      make("handoff_2w", "the same with two workers", nanoseconds_each, {{2, 15, f}}),
      make("chan_unbuffered", "values through a channel without a buffer", nanoseconds_each,
           {{1, 4, f}}),
      make("chan_buffered_1x1", "through a buffer of 1024: one sender, one receiver",
           nanoseconds_each, {{2, 6, f}}),
      make("chan_buffered_8x8", "the same: eight senders, eight receivers", nanoseconds_each,
           {{2, 15, f}}),
      among({"one-receive", "treadle", "treadle-m:1"},
            make("select_4", "receive by a select over four channels, one ready", nanoseconds_each,
                 {{1, 2, receives}})),
      on_cpu_time(among({"cas-pair", "treadle", "treadle-m:1", "nptl", "boost.fiber"},
                        make("mutex_uncontended", "lock and unlock by one thread", nanoseconds_each,
                             {{1, 1.5, cas_pairs}, {2, 1.5, cas_pairs}}))),
      on_cpu_time(among({"cas-pair", "treadle", "treadle-m:1", "nptl"},
                        make("shared_mutex_read", "lock_shared, unlock_shared, a thread a worker",
                             nanoseconds_each, {{1, 2, cas_pairs}, {2, 1.3, one_worker}}))),
      among({"treadle", "treadle-m:1", "nptl"},
            make("rcu_read", "a read section over none, while a writer replaces what is read",
                 nanoseconds_over, {{1, 1, nanoseconds}, {2, 1, nanoseconds}})),
      make("mutex_64_L0", "64 threads, one mutex, nothing inside", millions_a_second,
           {{1, 200, millions_at_reference}, {2, 110, millions_at_reference}}),
      make("mutex_64_L100", "64 threads, one mutex, 100 ns inside", millions_a_second,
           {{1, 9.7, millions_at_reference}, {2, 8.5, millions_at_reference}}),
      make("mutex_64_L1000", "64 threads, one mutex, 1 us inside", millions_a_second,
           {{1, 0.9, millions_at_reference}, {2, 0.9, millions_at_reference}}),
      one_at_a_time(on_cpu_time(
          make("sleepers", "100,000 threads sleep for 0 to 1000 ms each, CPU", crowd_seconds,
               {{1, 0.10, seconds_at_reference}, {2, 0.10, seconds_at_reference}}))),
      one_at_a_time(make("parked_1m", "a million parked threads, 64 KiB stacks", bytes_each,
                         {{1, 4300, bytes}})),
      on_cpu_time(make("fib", "recursive fib, one spawn a call, CPU a spawn", nanoseconds_each,
                       {{1, 8, f}, {2, 8, f}})),
      on_cpu_time(make("skynet", "a tree of 1,000,000 leaves, fan-out 10, CPU", tree_seconds,
                       {{1, 0.05, seconds_at_reference}, {2, 0.05, seconds_at_reference}})),
      on_cpu_time(among(
          {"treadle", "treadle-m:1"},
          make("task_await", "a task makes tasks and awaits each", nanoseconds_each, {{1, 4, f}}))),
      on_cpu_time(
          among({"treadle", "treadle-m:1"},
                make("task_fib", "recursive fib by tasks, both children spawned, CPU a spawn",
                     nanoseconds_each, {{1, 5, f}, {2, 5, f}}))),
      one_at_a_time(
          among({"treadle", "treadle-m:1"},
                make("sleeping_tasks", "a million tasks asleep", bytes_each, {{1, 256, bytes}}))),
      one_at_a_time(among({"treadle", "nptl"},
                          make("parallel_for", "a loop over 1,000,000 elements of 1 us each",
                               times_serial, {{2, 1.95, times_serial_loop}}))),
  };
}

}  // namespace

const std::vector<workload>& catalogue() {
  static const std::vector<workload> made = make_catalogue();
  return made;
}

const workload* find_workload(std::string_view name) {
  for (const workload& work : catalogue()) {
    if (work.name == name) return &work;
  }
  return nullptr;
}

std::optional<bar> bar_of(const workload& work, std::string_view peer, unsigned workers) {
  if (peer != "treadle") return std::nullopt;
  for (const bar& limit : work.bars) {
    if (limit.workers == workers) return limit;
  }
  return std::nullopt;
}

std::string to_string(const bar& limit) {
  switch (limit.unit) {
    case f:
      return fmt::format("<= {:g} f", limit.limit);
    case cas_pairs:
      return fmt::format("<= {:g} x CAS pair", limit.limit);
    case receives:
      return fmt::format("<= {:g} x receive", limit.limit);
    case one_worker:
      return fmt::format("<= {:g} x one worker", limit.limit);
    case nanoseconds:
      return fmt::format("<= {:g} ns", limit.limit);
    case millions_at_reference:
      return fmt::format(">= {:g} Mop/s", limit.limit);
    case bytes:
      return fmt::format("<= {:g} B", limit.limit);
    case seconds_at_reference:
      return fmt::format("<= {:g} s", limit.limit);
    case times_serial_loop:
      return fmt::format(">= {:g} x serial", limit.limit);
  }
  return {};
}

bool larger_is_better(const bar& limit) {
  return limit.unit == bar_unit::millions_at_reference || limit.unit == bar_unit::times_serial_loop;
}

}  // namespace treadle::bench
