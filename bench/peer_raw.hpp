// The peers without threads: the two bare switches and the bare pair of compare-and-swaps.
//
// fcontext is the unit of the whole table. Both switches run the same loop: A jumps to B, B jumps
// back, for ever; A counts two switches a turn.
#pragma once

#include "measure.hpp"

namespace treadle::bench {

/// jump_fcontext() of Boost.Context there and back, `turns` times.
repetition switch_by_fcontext(long turns);

/// treadle::context::jump() there and back, `turns` times.
repetition switch_by_treadle(long turns);

/// 0 -> 1 (acquire) and 1 -> 0 (release) on one word that nobody else touches.
repetition compare_and_swap_pairs(long pairs);

}  // namespace treadle::bench
