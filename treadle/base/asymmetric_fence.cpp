#include "treadle/base/asymmetric_fence.hpp"

#include "treadle/base/heavy_fence.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::base {
namespace {

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
  usable_.store(prepare_heavy_fence(), relaxed);
#endif
}

void asymmetric_fence::heavy() noexcept { heavy_fence(); }

// ThreadSanitizer does not model fences: there a read-modify-write of one word that all change
// orders the two sides, and tells it so.
void asymmetric_fence::full() noexcept {
#if defined(TREADLE_TSAN)
  static constinit atomic<unsigned> meeting{0};
  meeting.fetch_add(1, seq_cst);  // seq_cst: the fence itself
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

}  // namespace treadle::base
