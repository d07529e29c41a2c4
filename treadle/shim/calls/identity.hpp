// What a thread asks and says about itself, and what the shim refuses to let it do.
#pragma once

#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

long serve_gettid(saved_call& call) noexcept;
long serve_set_tid_address(saved_call& call) noexcept;
long serve_set_robust_list(saved_call& call) noexcept;
long serve_get_robust_list(saved_call& call) noexcept;
long serve_rseq(saved_call& call) noexcept;
long serve_prctl(saved_call& call) noexcept;
long serve_arch_prctl(saved_call& call) noexcept;

// The attendant takes all signals, so that a descriptor for them would never have any.

// Of the leader, from the kernel, while it is still a kernel thread.
void learn_leader(program_thread& leader) noexcept;

}  // namespace treadle::shim
