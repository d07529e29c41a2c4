#include "treadle/base/asymmetric_fence.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::base {
namespace {

long membarrier(int command) noexcept {
  const int saved = errno;
  const long result = ::syscall(SYS_membarrier, command, 0, 0);
  errno = saved;
  return result;
}

constinit spin_lock preparing;
constinit bool prepared = false;  // guarded by preparing

}  // namespace

constinit atomic<bool> asymmetric_fence::usable_{false};

void asymmetric_fence::prepare() noexcept {
  // The lock: who comes second waits until it is decided. Else its workers could begin with one
  // kind of fence and go on with the other.
  const guard hold(preparing);
  if (prepared) return;
  prepared = true;
#if !defined(TREADLE_SANITIZED)
  // relaxed: the workers that read it are started after this call
  usable_.store(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0, relaxed);
#else
  static_cast<void>(membarrier);
#endif
}

void asymmetric_fence::heavy() noexcept {
  const long result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  TREADLE_CHECK(result == 0, "membarrier was registered but does not work");
}

}  // namespace treadle::base
