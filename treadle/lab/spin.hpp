// Work of a known length: a chain of multiplications in which each waits for the one before.
//
// Why not a clock loop: reading the clock costs 20 to 50 ns, more than the shortest section, and on
// two CPUs that share a core a chain suffers less from its neighbour than a loop of loads.
#pragma once

#include <cstdint>

namespace treadle::lab {

// Nothing behind it starts before all in front of it is done. A short chain fits into the CPU's
// window of instructions in flight, and would otherwise overlap with the switch that follows it:
// 100 ns of work were 80 (measured: lab contended-lock).
[[gnu::always_inline]] inline void finish_instructions() {
#if defined(__x86_64__)
  asm volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// The chain, `turns` long. Touches no memory. Any thread may call.
[[gnu::always_inline]] inline void spin(std::uint64_t turns) {
  if (turns == 0) return;
  finish_instructions();
  std::uint64_t value = turns | 1;
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    value *= 6364136223846793005U;   // any odd number does; this one is Knuth's for MMIX
    asm volatile("" : "+r"(value));  // the compiler may neither drop nor shorten the chain
  }
  finish_instructions();
}

// Nanoseconds that one turn takes now; measured at the call (a few milliseconds).
double measure_spin_turn();

}  // namespace treadle::lab
