#include "treadle/cli/signal_inbox.hpp"

#include <sys/signalfd.h>

namespace treadle::cli {

signal_inbox::signal_inbox() {
  sigset_t all;
  ::sigemptyset(&all);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) ::sigaddset(&all, signal);
  if (::sigprocmask(SIG_BLOCK, &all, &before_) != 0) lab::fail_with_errno("sigprocmask");
  number_.reset(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (number_.get() < 0) {
    leave();
    lab::fail_with_errno("signalfd");
  }
}

void signal_inbox::collect() {
  signalfd_siginfo one{};
  while (::read(number_.get(), &one, sizeof one) == sizeof one) {
    const int signal = static_cast<int>(one.ssi_signo);
    if (signal != SIGCHLD && wanted_ == 0) wanted_ = signal;
  }
}

}  // namespace treadle::cli
