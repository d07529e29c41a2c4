// A return that does not go through the CPU's return predictor.
//
// A function that may come back on another thread's behalf returns to where that thread called it;
// the return predictor, which remembers calls in their order, is then wrong each time (12 ns on
// Sapphire Rapids). An indirect jump is predicted by history instead, which is right for any
// regular pattern of hand-overs. For the outermost such function only: those below it return to
// the same addresses whichever thread comes back. A caller pays with one stale entry in the
// predictor, which matters only to a function that has just come back from blocking.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(TREADLE_SANITIZED)
// The compiler then emits a jump to __x86_return_thunk (context/switch_x86_64.S).
#define TREADLE_INDIRECT_RETURN __attribute__((function_return("thunk-extern")))
#else
#define TREADLE_INDIRECT_RETURN
#endif
