// One (workload, peer, workers) in a process of its own.
//
// The parent forks and executes itself with --child, so that no pool, no cache and no scheduler of
// one row is there in the next, and so that every process has its own address layout. The child
// pins itself, warms up once, measures, prints one line of JSON and leaves by _exit().
// Rejected: all rows in one process (Boost.Fiber's schedulers cannot be changed again), one long
// process per row (its address layout would be a hidden constant in the figure).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "measure.hpp"

namespace treadle::bench {

struct child_order {
  std::string workload;
  std::string peer;
  unsigned workers = 1;
  unsigned repetitions = 3;  // after the warm-up
  bool quick = false;        // a hundredth of the work: shows that it runs, measures nothing
};

struct child_result {
  std::vector<repetition> repetitions;
  std::string why_not;  // empty when the repetitions are there
};

/// Parent: runs the order and waits. A child that fails, dies or takes too long is a why_not.
child_result run_child(const child_order& order);

/// Child: does the order; the result goes to standard output. Does not return.
[[noreturn]] void be_child(const child_order& order);

/// How many CPUs this process may run on.
unsigned allowed_cpus();

}  // namespace treadle::bench
