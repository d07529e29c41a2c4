// A fence that others pay for: after it, every other kernel thread of the process has been through
// a full fence of its own since the call began, wherever it was.
//
// For pairs of "announce, then look" where one side is hot: that side needs no locked instruction,
// only program order; the rare side calls this between its own store and its own look.
// Not for kernel threads of class SCHED_IDLE: the kernel holds a mutex meanwhile.
// Source: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.
#pragma once

namespace treadle::base {

// Before the first heavy_fence(). False where the kernel has none: an old one, or a sandbox.
[[nodiscard]] bool prepare_heavy_fence() noexcept;

void heavy_fence() noexcept;

}  // namespace treadle::base
