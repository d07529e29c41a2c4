// The clients of the servers experiment: a fixed number of connections, each with one request under
// way, from a process and a CPU of their own.
#pragma once

#include <cstdint>

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

struct load_order {
  std::uint16_t port = 0;
  unsigned connections = 0;
  double seconds = 0;
  int cpu = -1;  // -1: any
};

struct load_result {
  double requests = 0;  // answered within the time
  double seconds = 0;
  double median = 0;  // nanoseconds from request to answer
  double p99 = 0;
};

// Throws std::runtime_error when connections cannot be had.
load_result run_load(lab_context& lab, const load_order& order);

}  // namespace treadle::lab
