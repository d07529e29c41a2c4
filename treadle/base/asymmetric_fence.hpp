// A full fence between two kernel threads of which one pays for both.
//
// The usual pattern: each side stores a word, then loads the other's word, and at least one of them
// must see the other's store. That takes a full fence on both sides (7.6 ns here). Where one side
// runs millions of times and the other rarely, the frequent side runs light(), which only keeps
// the compiler from reordering, and the rare one heavy() (heavy_fence.hpp), which makes the kernel
// run a full fence on every CPU that runs a thread of this process: 0.2 to 4.4 us, and an interrupt
// for those CPUs.
// Proof: heavy() puts a fence at some point of the frequent side's program. What that side did
// before the point is visible to whoever called heavy(); what it does after it sees all that the
// caller did before. The pattern has no third case.
// Without membarrier (an old kernel, a sandbox, valgrind), and in sanitizer builds, which do not
// know it, are_usable() is false and both sides must use the ordinary means.
// Rejected: MEMBARRIER_CMD_GLOBAL_EXPEDITED and mprotect tricks (dearer, other processes pay).
// Source: membarrier(2); Desnoyers, McKenney et al., "User-level implementations of read-copy
// update", IEEE TPDS 2012, for the fence that one side pays.
#pragma once

#include "treadle/base/atomic.hpp"

namespace treadle::base {

class asymmetric_fence {
 public:
  // Before the first kernel thread that relies on it starts. Only the first call decides.
  static void prepare() noexcept;
  // Fixed after prepare().
  static bool are_usable() noexcept { return usable_.load(relaxed); }  // relaxed: see prepare()
  // Only where are_usable().
  static void light() noexcept { compiler_fence(); }
  static void heavy() noexcept;
  // Where it is not usable, on both sides: a full fence.
  static void full() noexcept;

  // Between a side's store and its look, wherever it runs: for the side that does so often ...
  static void often() noexcept { are_usable() ? light() : full(); }
  // ... and for the one that does so rarely.
  static void rarely() noexcept { are_usable() ? heavy() : full(); }

 private:
  static atomic<bool> usable_;
};

}  // namespace treadle::base
