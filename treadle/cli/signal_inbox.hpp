// The signals that end a command, and SIGCHLD, as something to poll: between its construction and
// its end they are blocked, and nobody is interrupted anywhere.
#pragma once

#include <signal.h>

#include "treadle/lab/descriptor.hpp"

namespace treadle::cli {

class signal_inbox {
 public:
  signal_inbox();
  ~signal_inbox() { leave(); }
  signal_inbox(const signal_inbox&) = delete;
  signal_inbox& operator=(const signal_inbox&) = delete;

  int get() const { return number_.get(); }
  // Reads what has come; never waits.
  void collect();
  // The first one that asked to end, or 0.
  int take() {
    collect();
    return wanted_;
  }
  // As it was before; also in a child, before it becomes a program.
  void leave() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
  lab::descriptor number_;
  int wanted_ = 0;
};

}  // namespace treadle::cli
