// signalfd: what it gives, and who else takes the same signals.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>

#include "tests/shim/programs/check.hpp"

namespace {

const int queued = SIGRTMIN + 5;
constexpr int count = 500;
int descriptor = -1;

sigset_t set_of(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  return set;
}

signalfd_siginfo take() {
  signalfd_siginfo info;
  CHECK(read(descriptor, &info, sizeof(info)) == sizeof(info));
  return info;
}

bool is_readable() {
  pollfd one{descriptor, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

// Waits for it while somebody sends.
void* send_later(void*) {
  usleep(20'000);
  CHECK(kill(getpid(), SIGUSR1) == 0);
  return nullptr;
}

void own_ones() {
  CHECK(!is_readable());
  CHECK(raise(SIGUSR2) == 0 && is_readable());
  CHECK(take().ssi_signo == SIGUSR2 && !is_readable());
  CHECK(kill(getpid(), SIGUSR1) == 0);
  const signalfd_siginfo info = take();
  CHECK(info.ssi_signo == SIGUSR1 && info.ssi_pid == static_cast<unsigned>(getpid()));
  const pthread_t other = start(send_later);
  CHECK(take().ssi_signo == SIGUSR1);
  join(other);
  done("its own");
}

pid_t child_that_sends() {
  const pid_t parent = getpid();
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child != 0) return child;
  for (int i = 0; i < count; ++i) {
    sigval value;
    value.sival_int = i;
    while (sigqueue(parent, queued, value) != 0) usleep(100);
  }
  _exit(3);
}

void childs() {
  const int epoll = epoll_create1(0);
  epoll_event event{EPOLLIN, {}};
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0);
  const pid_t child = child_that_sends();
  int next = 0;
  bool ended = false;
  while (next < count || !ended) {
    CHECK(epoll_wait(epoll, &event, 1, -1) == 1);
    const signalfd_siginfo info = take();
    if (info.ssi_signo == SIGCHLD) {
      CHECK(info.ssi_pid == static_cast<unsigned>(child) && info.ssi_status == 3);
      ended = true;
    } else {
      CHECK(info.ssi_signo == static_cast<unsigned>(queued) && info.ssi_int == next);
      ++next;
    }
  }
  int status = 0;
  CHECK(waitpid(child, &status, WNOHANG) == child && WEXITSTATUS(status) == 3);
  close(epoll);
  done("a child's, and that it has ended");
}

volatile sig_atomic_t seen = 0;
void note(int) { seen = seen + 1; }

// What waits for the descriptor is taken by who asks for it otherwise.
void other_ways() {
  CHECK(signal(SIGUSR1, note) != SIG_ERR);
  const sigset_t set = set_of({SIGUSR1});
  sigset_t pending;
  CHECK(kill(getpid(), SIGUSR1) == 0 && seen == 0);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
  const timespec none{0, 0};
  CHECK(sigtimedwait(&set, nullptr, &none) == SIGUSR1 && !is_readable());
  CHECK(kill(getpid(), SIGUSR1) == 0 && seen == 0);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
  CHECK(seen == 1 && !is_readable());
  CHECK(kill(getpid(), SIGUSR1) == 0 && seen == 2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  CHECK(kill(getpid(), SIGUSR1) == 0 && seen == 2);
  CHECK(take().ssi_signo == SIGUSR1);
  done("sigtimedwait, a handler, and the descriptor again");
}

// One thread reads, one waits for them: each comes to one of the two.
std::atomic<int> taken{0};
std::atomic<bool> over{false};
void* wait_for_them(void*) {
  const sigset_t set = set_of({queued});
  const timespec soon{0, 1'000'000};
  while (!over) {
    if (sigtimedwait(&set, nullptr, &soon) == queued) ++taken;
  }
  return nullptr;
}

void shared() {
  const pthread_t other = start(wait_for_them);
  const pid_t child = child_that_sends();
  bool ended = false;
  while (taken < count || !ended) {
    pollfd one{descriptor, POLLIN, 0};
    if (poll(&one, 1, 1) != 1) continue;
    signalfd_siginfo info;
    if (read(descriptor, &info, sizeof(info)) != sizeof(info)) {
      CHECK(errno == EAGAIN);  // the other one took it
    } else if (info.ssi_signo == SIGCHLD) {
      ended = true;
    } else {
      ++taken;
    }
  }
  over = true;
  join(other);
  CHECK(taken == count && waitpid(child, nullptr, 0) == child);
  done("with a thread that waits for them");
}

void* nothing(void*) { return nullptr; }

}  // namespace

int main() {
  const sigset_t set = set_of({SIGUSR1, SIGUSR2, SIGCHLD, queued});
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  join(start(nothing));
  // One comes before there is a descriptor.
  CHECK(kill(getpid(), SIGUSR1) == 0);
  descriptor = signalfd(-1, &set, SFD_CLOEXEC);
  CHECK(descriptor >= 0 && take().ssi_signo == SIGUSR1);
  const sigset_t more = set_of({SIGUSR1, SIGUSR2, SIGCHLD, queued, SIGHUP});
  CHECK(signalfd(descriptor, &more, 0) == descriptor);
  CHECK(signalfd(-1, &set, ~0) == -1 && errno == EINVAL);
  own_ones();
  childs();
  other_ways();
  CHECK(close(descriptor) == 0);
  descriptor = signalfd(-1, &set, SFD_NONBLOCK);
  CHECK(descriptor >= 0);
  shared();
  return 0;
}
