#include "treadle/context/guard_pages.hpp"

#include <sys/mman.h>

#include <cerrno>

#include "treadle/base/atomic.hpp"
#include "treadle/base/check.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::context {
namespace {

// Sourced: MADV_GUARD_INSTALL in linux/mman.h of 6.13; older headers lack it.
constexpr int advice_guard_install = 102;

base::atomic<bool> install_refused{false};
base::atomic<bool> refusal_said{false};

// Errors that say "this kernel, container or mapping (mlockall) knows no guard install", as
// against "there is no memory for it now".
bool means_unsupported(int error) noexcept {
  return error == EINVAL || error == ENOSYS || error == EPERM;
}

void say_refusal_once() noexcept {
  // relaxed: only one caller may see false, nothing else is ordered.
  if (refusal_said.exchange(true, base::relaxed)) return;
  base::say(
      "this kernel refuses MADV_GUARD_INSTALL (Linux 6.13 has it): stacks are guarded by mprotect, "
      "and vm.max_map_count (65530 by default) allows half as many threads");
}

}  // namespace

guard_result install_guards(std::byte* first_slot, std::size_t slot_bytes, std::size_t guard_bytes,
                            std::uint32_t count) noexcept {
  TREADLE_ASSERT(count <= guard_batch, "too many guards at once");
  guard_result result{0, 0};
  if (!install_refused.load(base::relaxed)) {  // relaxed: a switch of its own
    iovec ranges[guard_batch] = {};
    for (std::uint32_t i = 0; i < count; ++i)
      ranges[i] = {first_slot + i * slot_bytes, guard_bytes};
    const auto batch = base::advise_batch(ranges, count, advice_guard_install);
    result = {static_cast<std::uint32_t>(batch.done), batch.error};
    if (!means_unsupported(batch.error)) return result;
    install_refused.store(true, base::relaxed);  // relaxed: a switch of its own
    say_refusal_once();
  }
  for (result.error = 0; result.done < count; ++result.done) {
    std::byte* const slot = first_slot + result.done * slot_bytes;
    result.error = base::protect_memory(slot, guard_bytes, PROT_NONE);
    if (result.error != 0) break;
  }
  return result;
}

void refuse_guard_install(bool refuse) noexcept {
  install_refused.store(refuse, base::relaxed);           // relaxed: a switch of its own
  if (!refuse) refusal_said.store(false, base::relaxed);  // relaxed: for tests, one at a time
}

}  // namespace treadle::context
