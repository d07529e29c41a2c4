// Two ways to share one hot lock, both measured as nanoseconds for one critical section.
//
// ring: N threads that pass the right on to their neighbour after every section, each parked until
// its turn: the textbook's steady state, where every section ends with one hand-off.
// crowd: N threads that lock a treadle::mutex, do the section and unlock, as programs do; whoever
// comes first gets it, so not every section ends with a hand-off.
#pragma once

#include <cstdint>
#include <optional>

#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/sample.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

// Threads that share the lock: guess, enough that nearly all of them wait at any time.
inline constexpr unsigned ring_threads = 8;

struct contest {
  treadle::model model = model::many_to_many;
  std::optional<unsigned> width = {};  // unset: the runtime's own
  unsigned threads = ring_threads;
  std::uint64_t section_turns = 0;  // of spin()
  bool one_cpu = false;             // pin the threads (1:1 only)
};

sample ring_cost(lab_context& lab, const contest& of);
sample crowd_cost(lab_context& lab, const contest& of);

}  // namespace treadle::lab
