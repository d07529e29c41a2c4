// The textbook's formulas, as pure functions: what the three models are predicted to cost and to
// hold. Every prediction of the lab that has a formula comes from here, fed with quantities
// measured in the same run.
//
// Symbols: c_u user-level switch, c_k kernel switch, L critical section, q time slice, s_k the
// kernel switch that ends a slice, k_b kernel memory of a thread, K0 kernel memory of a process,
// B budget, S reserved stack. Times are nanoseconds, sizes are bytes, rates are per second.
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/runtime.hpp"

namespace treadle::lab::formula {

inline constexpr double nanoseconds_per_second = 1e9;

// What passing the lock on costs under each model: c_u, c_k, or both for M:N.
constexpr double hand_off(treadle::model model, double c_u, double c_k) {
  switch (model) {
    case model::many_to_one:
      return c_u;
    case model::one_to_one:
      return c_k;
    case model::many_to_many:
      break;
  }
  return c_u + c_k;
}

// X = 1 / (L + hand-off): critical sections a second behind one hot lock.
constexpr double throughput(double section, double hand_off_cost) {
  return nanoseconds_per_second / (section + hand_off_cost);
}

// (c_k - c_u) / ((L + c_u)(L + c_k)): what M:1 gains over 1:1 behind one hot lock.
constexpr double throughput_gain(double section, double c_u, double c_k) {
  return nanoseconds_per_second * (c_k - c_u) / ((section + c_u) * (section + c_k));
}

// N* = (B - K0) / k_b: kernel threads that a kernel-memory budget holds.
constexpr double thread_limit(double budget, double process_base, double per_thread) {
  return (budget - process_base) / per_thread;
}

// The part of the machine that does useful work under each model: 1/P, q / (q + s_k), all of it.
constexpr double utilisation(treadle::model model, unsigned cores, double slice, double switched) {
  switch (model) {
    case model::many_to_one:
      return 1.0 / cores;
    case model::one_to_one:
      return slice / (slice + switched);
    case model::many_to_many:
      break;
  }
  return 1.0;
}

constexpr double speed_up(treadle::model model, unsigned cores, double slice, double switched) {
  return cores * utilisation(model, cores, slice, switched);
}

// One 8-byte entry for each page that the stacks are spread over: a table is never returned while
// any page under it is in use.
constexpr double page_tables(double threads, double reserved, double page) {
  return threads * reserved / page * 8;
}

// A parked user thread: the one page at the top of its stack, and the page tables that map the
// whole reservation.
constexpr double parked_bytes(double reserved, double page) {
  return page + page_tables(1, reserved, page);
}

// Work of `tasks` equal tasks: one after another, or spread evenly over the processors.
constexpr double makespan(treadle::model model, double tasks, double each, unsigned cores) {
  return model == model::many_to_one ? tasks * each : tasks * each / cores;
}

// m page faults of T_pf each, where b can be served at a time: one by one, or b by b.
constexpr double page_faults(treadle::model model, unsigned faults, double each, unsigned at_once) {
  const unsigned rounds = model == model::many_to_one ? faults : (faults + at_once - 1) / at_once;
  return rounds * each;
}

}  // namespace treadle::lab::formula
