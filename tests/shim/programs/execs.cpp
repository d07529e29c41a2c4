// What a program that is executed finds: the caller's mask, and what is pending.
#include <signal.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

const int queued = SIGRTMIN + 6;

void* nothing(void*) { return nullptr; }

void send(int value) {
  sigval with;
  with.sival_int = value;
  CHECK(sigqueue(getpid(), queued, with) == 0);
}

void first() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, queued);
  CHECK(pthread_sigmask(SIG_SETMASK, &set, nullptr) == 0);
  join(start(nothing));
  CHECK(kill(getpid(), SIGUSR1) == 0 && pthread_kill(pthread_self(), SIGUSR2) == 0);
  for (int i = 0; i < 10; ++i) send(i);
  // One that does not come to pass leaves them where they are.
  CHECK(execl("/nonexistent", "x", static_cast<char*>(nullptr)) == -1 && errno == ENOENT);
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGUSR1 || info.si_signo == SIGUSR2);
  CHECK(sigwaitinfo(&set, &info) == SIGUSR1 || info.si_signo == SIGUSR2);
  CHECK(sigwaitinfo(&set, &info) == queued && info.si_value.sival_int == 0);
  CHECK(kill(getpid(), SIGUSR1) == 0);
  done("executing");
}

void second() {
  sigset_t set;
  CHECK(pthread_sigmask(SIG_SETMASK, nullptr, &set) == 0);
  CHECK(sigismember(&set, SIGUSR1) == 1 && sigismember(&set, queued) == 1);
  CHECK(sigismember(&set, SIGHUP) == 0);
  join(start(nothing));
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == getpid());
  for (int i = 1; i < 10; ++i) {
    CHECK(sigwaitinfo(&set, &info) == queued && info.si_value.sival_int == i);
  }
  const timespec none{0, 0};
  CHECK(sigtimedwait(&set, nullptr, &none) == -1 && errno == EAGAIN);
  done("the mask, and what was pending");
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    second();
    return 0;
  }
  first();
  execl("/proc/self/exe", "execs", "again", static_cast<char*>(nullptr));
  return 1;
}
