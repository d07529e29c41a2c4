// Which of the program's system calls the shim answers, and how.
#pragma once

#include "treadle/shim/saved_call.hpp"

namespace treadle::shim {

// Runtime's side. The result, as the kernel would say it.
long serve(saved_call& call) noexcept;

// To the kernel, as it is.
long pass_on(const saved_call& call) noexcept;
// The same for one that may block for long: meanwhile others run, where the model can do that.
long pass_on_blocking(const saved_call& call) noexcept;

}  // namespace treadle::shim
