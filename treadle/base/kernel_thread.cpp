#include "treadle/base/kernel_thread.hpp"

#include <signal.h>

#include <initializer_list>

#include "treadle/base/system_call.hpp"

namespace treadle::base {

int start_kernel_thread(void* (*body)(void*), void* argument, pthread_t* joinable) noexcept {
  sigset_t blocked;
  ::sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
    ::sigdelset(&blocked, fault);
  }
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, &blocked, &before);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  if (joinable == nullptr) ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t made{};
  const int error = create_kernel_thread(&made, &attributes, body, argument);
  if (error == 0 && joinable != nullptr) *joinable = made;
  ::pthread_attr_destroy(&attributes);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

}  // namespace treadle::base
