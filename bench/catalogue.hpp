// The workloads by name: what is measured, with whom, and the bar that Treadle has to reach.
//
// Fixed data, read by the parent (what to run, how to judge) and by the child (how much to do).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace treadle::bench {

/// How the value of a row follows from a repetition.
enum class quantity {
  nanoseconds_each,   // time / operations
  nanoseconds_over,   // (time - time of the same loop with nothing in it) / operations
  millions_a_second,  // operations / time
  bytes_each,         // bytes / operations
  crowd_seconds,      // CPU time of a crowd of sleepers, whatever the peer's own size was
  times_serial,       // wall time of a serial loop / wall time
  tree_seconds,       // CPU time of the whole tree, whatever the peer's own size was
};

/// What the bar is compared with. One f is one fcontext switch in the same run.
enum class bar_unit {
  f,
  cas_pairs,
  receives,
  one_worker,  // the same row with one worker
  nanoseconds,
  millions_at_reference,
  bytes,
  seconds_at_reference,
  times_serial_loop
};

struct bar {
  unsigned workers;
  double limit;
  bar_unit unit;
};

struct workload {
  std::string_view name;
  std::string_view what;
  std::string_view unit;
  quantity value;
  bool always_cpu;     // CPU time even with two workers (else two workers are timed on the wall)
  bool one_at_a_time;  // each child measures once: memory, and what takes a second
  std::vector<unsigned> workers;
  std::vector<std::string_view> peers;
  std::vector<bar> bars;
};

/// The f for which the bars in operations a second and in seconds were set.
/// Sourced: the machine on which the peers' figures were taken had f = 5.5 ns.
inline constexpr double reference_f_nanoseconds = 5.5;

/// The critical section of mutex_64_L100, fixed in time and so not scaled with f.
inline constexpr double long_section_nanoseconds = 100;

/// The number of spawns in a skynet tree of a million leaves and fan-out 10.
inline constexpr double skynet_spawns = 1'111'110;

/// What one element of parallel_for and the section of mutex_64_L1000 take, fixed in time.
inline constexpr double loop_body_nanoseconds = 1000;

/// How many threads the workload of the sleepers has.
inline constexpr double crowd_of_sleepers = 100'000;

const std::vector<workload>& catalogue();

/// nullptr when there is none of that name.
const workload* find_workload(std::string_view name);

/// The bar for a row of the peer "treadle" with that many workers; the other peers have none.
std::optional<bar> bar_of(const workload& work, std::string_view peer, unsigned workers);

/// "<= 0.5 f" and the like.
std::string to_string(const bar& limit);

/// A throughput is better when larger, everything else when smaller.
bool larger_is_better(const bar& limit);

}  // namespace treadle::bench
