// Which of the program's system calls the shim answers, and how.
#pragma once

#include "treadle/shim/saved_call.hpp"

namespace treadle::shim {

// No result of a program's: the call has not been made, and is to be once the handlers of what is
// pending have run. Sourced: the kernel's own ERESTARTNOINTR.
inline constexpr long begin_again = -513;

// Runtime's side. The result, as the kernel would say it, or begin_again.
long serve(saved_call& call) noexcept;

// To the kernel, as it is.
long pass_on(const saved_call& call) noexcept;
// The same for one that may block for long: meanwhile others run, where the model can do that. Or
// begin_again: a signal that came before the call does not interrupt it.
long pass_on_blocking(const saved_call& call) noexcept;

}  // namespace treadle::shim
