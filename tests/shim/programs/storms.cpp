// Signals faster than they can be looked at, from outside and from each other; and calls that no
// signal may interrupt, for they do not wait.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

volatile sig_atomic_t seen = 0;
void note(int) { seen = seen + 1; }

int over = 0;
bool is_over() { return __atomic_load_n(&over, __ATOMIC_SEQ_CST) != 0; }
void set_over(int value) { __atomic_store_n(&over, value, __ATOMIC_SEQ_CST); }

// open() may wait and so may be interrupted; of this file it never does.
void* make_calls(void*) {
  char byte = 0;
  while (!is_over()) {
    const int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK(read(file, &byte, 1) == 1 && byte == 0);
    CHECK(close(file) == 0);
    CHECK(getppid() > 0);
    sched_yield();
  }
  return nullptr;
}

int status_of(pid_t child) {
  int status = 0;
  pid_t found;
  while ((found = waitpid(child, &status, 0)) == -1) CHECK(errno == EINTR);
  CHECK(found == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void from_outside() {
  set_over(0);
  seen = 0;
  pthread_t all[3];
  for (pthread_t& one : all) one = start(make_calls);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 60'000; ++i) {
      if (kill(parent, i % 2 == 0 ? SIGUSR1 : SIGUSR2) != 0) _exit(1);
    }
    _exit(0);
  }
  CHECK(status_of(child) == 0);
  set_over(1);
  for (const pthread_t one : all) join(one);
  CHECK(seen > 0);
  done("signals from another process");
}

pthread_t targets[3];

void* send_to_all(void*) {
  for (int i = 0; i < 8000; ++i) {
    for (const pthread_t one : targets) CHECK(pthread_kill(one, SIGUSR1) == 0);
    if (i % 64 == 0) sched_yield();
  }
  return nullptr;
}

void among_threads() {
  set_over(0);
  seen = 0;
  for (pthread_t& one : targets) one = start(make_calls);
  const pthread_t first = start(send_to_all);
  const pthread_t second = start(send_to_all);
  join(first);
  join(second);
  set_over(1);
  for (const pthread_t one : targets) join(one);
  CHECK(seen > 0);
  done("signals among threads");
}

// A child that was made past libc's functions has its parent's mask.
void raw_fork() {
  const long child = syscall(SYS_fork);
  if (child == 0) {
    kill(getpid(), SIGTERM);
    _exit(1);
  }
  CHECK(child > 0);
  CHECK(status_of(static_cast<pid_t>(child)) == -SIGTERM);
  done("a mask after fork by number");
}

void* nothing(void*) { return nullptr; }

}  // namespace

int main() {
  struct sigaction action {};
  action.sa_handler = note;
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  CHECK(sigaction(SIGUSR2, &action, nullptr) == 0);
  join(start(nothing));
  from_outside();
  among_threads();
  raw_fork();
  return 0;
}
