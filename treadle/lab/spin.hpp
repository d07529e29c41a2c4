// Work of a known length: a chain of multiplications in which each waits for the one before.
//
// Why not a clock loop: reading the clock costs 20 to 50 ns, more than the shortest section, and on
// two CPUs that share a core a chain suffers less from its neighbour than a loop of loads.
#pragma once

#include <cstdint>

namespace treadle::lab {

// The chain, `turns` long. Touches no memory. Any thread may call.
[[gnu::always_inline]] inline void spin(std::uint64_t turns) {
  std::uint64_t value = turns | 1;
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    value *= 6364136223846793005U;   // any odd number does; this one is Knuth's for MMIX
    asm volatile("" : "+r"(value));  // the compiler may neither drop nor shorten the chain
  }
}

// Nanoseconds that one turn takes now; measured at the call (a few milliseconds).
double measure_spin_turn();

}  // namespace treadle::lab
