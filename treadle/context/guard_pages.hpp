// Guards at the low end of stacks: pages that fault when touched.
//
// MADV_GUARD_INSTALL (Linux 6.13) marks pages in the page table and costs no mapping of its own,
// so a million guards are as good as one; they survive MADV_DONTNEED. Where the kernel refuses it,
// mprotect(PROT_NONE) does, which splits the mapping: vm.max_map_count then ends the promises at
// about 32,000 stacks. The first refusal switches the whole process over, and is said once.
//
// Any kernel thread may call; nothing here locks. Source: madvise(2).
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::context {

// Measured (cost per guard, Linux 6.18): a batch of 64 costs 250 ns each, one of 1024 no less;
// and it bounds how long one promise takes (16 us) and what lies on the caller's stack (1 KiB).
inline constexpr std::uint32_t guard_batch = 64;

struct guard_result {
  std::uint32_t done;  // guards installed, from the first on
  int error;           // why the next one was not, or 0
};

// Guards `count` <= guard_batch slots: the first guard_bytes of each, one slot_bytes after another.
[[nodiscard]] guard_result install_guards(std::byte* first_slot, std::size_t slot_bytes,
                                          std::size_t guard_bytes, std::uint32_t count) noexcept;

// Guards with mprotect from now on, as on a kernel that knows no guard install; or asks the kernel
// again, as at the start of the process. For tests.
void refuse_guard_install(bool refuse) noexcept;

}  // namespace treadle::context
