#include "treadle/base/heavy_fence.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/check.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::base {
namespace {

long membarrier(int command) noexcept {
  const int saved = errno;
  const long result = ::syscall(SYS_membarrier, command, 0, 0);
  errno = saved;
  return result;
}

}  // namespace

bool prepare_heavy_fence() noexcept {
  return injected_fault(faulty_call::membarrier) == 0 &&
         membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

void heavy_fence() noexcept {
  const long result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  TREADLE_CHECK(result == 0, "membarrier was registered but does not work");
}

}  // namespace treadle::base
