// Signals, masks and cancellation.
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

volatile sig_atomic_t seen = 0;
volatile pthread_t seen_by = 0;
void note(int) {
  seen_by = pthread_self();
  seen = seen + 1;
  errno = 99;
}

void* wait_for_handler(void*) {
  errno = 5;
  while (seen == 0) sched_yield();
  CHECK(seen_by == pthread_self());
  return nullptr;
}

void to_a_thread() {
  CHECK(signal(SIGUSR1, note) != SIG_ERR);
  seen = 0;
  const pthread_t other = start(wait_for_handler);
  CHECK(pthread_kill(other, SIGUSR1) == 0);
  join(other);
  CHECK(seen == 1);
  seen = 0;
  CHECK(raise(SIGUSR1) == 0 && seen == 1);
  seen = 0;
  CHECK(kill(getpid(), SIGUSR1) == 0 && seen == 1);
  done("pthread_kill, raise, kill");
}

void blocked() {
  sigset_t set;
  sigset_t pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  seen = 0;
  CHECK(raise(SIGUSR1) == 0 && seen == 0);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
  sigset_t one = set;
  sigdelset(&one, SIGUSR2);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &one, nullptr) == 0);
  CHECK(seen == 1);
  int number = 0;
  CHECK(kill(getpid(), SIGUSR2) == 0);
  CHECK(sigwait(&set, &number) == 0 && number == SIGUSR2);
  const timespec soon{0, 1'000'000};
  CHECK(sigtimedwait(&set, nullptr, &soon) == -1 && errno == EAGAIN);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
  done("masks, sigpending, sigwait");
}

void* nothing(void*) { return nullptr; }

// Asks sleep() for far longer than the test lasts: the signal ends it.
void* sleep_long(void*) {
  errno = 0;
  const timespec long_time{600, 0};
  CHECK(nanosleep(&long_time, nullptr) == -1 && errno == EINTR);
  return nullptr;
}

void interrupted() {
  seen = 0;
  const pthread_t other = start(sleep_long);
  // Again until it sleeps: a handler that ran before the sleep does not end it.
  while (pthread_tryjoin_np(other, nullptr) == EBUSY) {
    pthread_kill(other, SIGUSR1);
    usleep(200);
  }
  CHECK(seen > 0);
  done("a sleep that a signal ends");
}

int pipe_ends[2];

// What it blocks ends no wait. Each is over when there is a byte.
void* wait_in_three_ways(void*) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  char byte;
  CHECK(read(pipe_ends[0], &byte, 1) == 1);
  pollfd one{pipe_ends[0], POLLIN, 0};
  CHECK(poll(&one, 1, -1) == 1 && read(pipe_ends[0], &byte, 1) == 1);
  const int epoll = epoll_create1(0);
  epoll_event event{EPOLLIN, {}};
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_ends[0], &event) == 0);
  CHECK(epoll_wait(epoll, &event, 1, -1) == 1 && read(pipe_ends[0], &byte, 1) == 1);
  close(epoll);
  return nullptr;
}

void blocked_ones_end_no_wait() {
  CHECK(pipe(pipe_ends) == 0);
  const pthread_t other = start(wait_in_three_ways);
  for (int i = 0; i < 3; ++i) {
    // First it may be about to block them.
    for (int sent = 0; sent < 3; ++sent) {
      usleep(2000);
      if (i > 0) CHECK(pthread_kill(other, SIGUSR1) == 0);
    }
    CHECK(write(pipe_ends[1], "x", 1) == 1);
    usleep(2000);
  }
  join(other);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  done("waits that a blocked signal does not end");
}

int cleaned = 0;
void clean(void*) { ++cleaned; }

void* wait_somewhere(void* where) {
  pthread_cleanup_push(clean, nullptr);
  int ends[2];
  CHECK(pipe(ends) == 0);
  char byte;
  if (as_number(where) == 0) {
    for (;;) {
      pthread_testcancel();
      sched_yield();
    }
  }
  if (as_number(where) == 1) CHECK(read(ends[0], &byte, 1) != 1);
  if (as_number(where) == 2) {
    for (;;) sleep(100);
  }
  if (as_number(where) == 3) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&lock);
    for (;;) pthread_cond_wait(&never, &lock);
  }
  pthread_cleanup_pop(0);
  return nullptr;
}

void cancelled() {
  for (long where = 0; where < 4; ++where) {
    cleaned = 0;
    const pthread_t other = start(wait_somewhere, where);
    usleep(2000);
    CHECK(pthread_cancel(other) == 0);
    CHECK(join(other) == as_number(PTHREAD_CANCELED));
    CHECK(cleaned == 1);
  }
  done("cancellation");
}

}  // namespace

int main() {
  join(start(nothing));
  to_a_thread();
  blocked();
  interrupted();
  blocked_ones_end_no_wait();
  cancelled();
  return 0;
}
