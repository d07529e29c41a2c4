#include "treadle/base/free_signal.hpp"

#include "treadle/base/spin_lock.hpp"

namespace treadle::base {
namespace {

constinit spin_lock claim_lock;  // of two callers each finds what the other has taken

}  // namespace

int claim_free_signal(void (*handler)(int, siginfo_t*, void*), int flags) noexcept {
  const guard hold(claim_lock);
  for (int one = SIGRTMAX - 1; one > SIGRTMIN; --one) {
    struct sigaction action = {};
    if (::sigaction(one, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler != SIG_DFL) {
      continue;
    }
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    ::sigfillset(&action.sa_mask);
    if (::sigaction(one, &action, nullptr) == 0) return one;
  }
  return 0;
}

}  // namespace treadle::base
