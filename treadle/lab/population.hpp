// Many threads alive at once, in a fresh process: how much memory they take and how long they need
// to be made, parked, woken and joined. Behind kernel-memory, address-space and million.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "treadle/lab/experiment.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/memory_reading.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

struct population_request {
  treadle::model model = model::many_to_many;
  std::uint64_t threads = 0;
  std::size_t stack_bytes = 0;
  std::size_t touched_bytes = 0;  // of its stack that each thread writes to before it parks
  double kernel_budget = 0;  // > 0: stop making threads when their kernel side has grown so far
};

struct population {
  std::uint64_t created = 0;
  std::string stopped;            // why fewer than asked for; empty: all are there
  memory_reading grown;           // with all parked, against the process before its runtime
  double create_nanoseconds = 0;  // until the last one is made
  double all_nanoseconds = 0;     // create, park, wake and join
};

// Throws std::runtime_error when the process fails.
population measure_population(lab_context& lab, const population_request& wanted);

// Kernel stacks, task structures and page tables together.
double kernel_side(const memory_reading& of);

// The memory that `threads` parked threads are expected to need, to compare with what there is.
double expected_bytes(const population_request& wanted, double kernel_bytes_each);

}  // namespace treadle::lab
