// Calibration of the chain.
#include "treadle/lab/spin.hpp"

#include <chrono>

#include "treadle/lab/sample.hpp"
#include "treadle/lab/stopwatch.hpp"

namespace treadle::lab {

double measure_spin_turn() {
  const auto run = [](std::uint64_t turns) {
    const stopwatch watch(time_kind::cpu);
    spin(turns);
    return watch.nanoseconds();
  };
  // guess: 1 ms is well above an interrupt and well below a time slice; the lowest of 5 is taken
  // because a chain can be delayed but not hurried.
  return cost_each(5, std::chrono::milliseconds(1), 1000, run).lowest;
}

}  // namespace treadle::lab
