// Children and other programs: what a process made from here finds is what the kernel would give.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

long serve_exec(saved_call& call) noexcept;
[[noreturn]] void serve_exit_group(saved_call& call) noexcept;

}  // namespace treadle::shim
