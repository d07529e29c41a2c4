// Which of the program's system calls the shim answers, and how.
#pragma once

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

// How a call of the program's gets where it belongs. The door knows the numbers.
enum class way : unsigned char {
  door = 0,      // to serve()
  straight = 1,  // to the kernel, from the program's side: nothing to do for it here
  trap = 2,      // by its own instruction, when it comes from libc's syscall()
};
way way_of(long number) noexcept;

// No result of a program's: the call has not been made, and is to be once the handlers of what is
// pending have run. Sourced: the kernel's own ERESTARTNOINTR.
inline constexpr long begin_again = -513;

// Runtime's side. The result, as the kernel would say it, or begin_again.
long serve(saved_call& call) noexcept;

// From now on what may block blocks all threads (pure.hpp). Before a thread of the program runs in
// the runtime.
void serve_all_purely() noexcept;

// To the kernel, as it is.
long pass_on(const saved_call& call) noexcept;
// The same for one that may block for long: meanwhile others run, where the model can do that. Or
// begin_again: a signal that came before the call does not interrupt it.
long pass_on_blocking(const saved_call& call) noexcept;

}  // namespace treadle::shim
