// Signals that queue, and timers that signal one thread or call a function.
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr int count = 100;

void* nothing(void*) { return nullptr; }

int seen = 0;
int order_errors = 0;
void note(int, siginfo_t* info, void*) {
  if (info->si_value.sival_int != seen || info->si_code != SI_QUEUE) ++order_errors;
  ++seen;
}

sigset_t only(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}

void handle(int number) {
  struct sigaction action = {};
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO;
  CHECK(sigaction(number, &action, nullptr) == 0);
}

// To the process: by itself, then by a child.
void queued_for_the_process() {
  const sigset_t set = only(SIGRTMIN + 1);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  for (int i = 0; i < count; ++i) {
    sigval value;
    value.sival_int = i;
    CHECK(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
  }
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < count; ++i) {
      sigval value;
      value.sival_int = count + i;
      if (sigqueue(parent, SIGRTMIN + 1, value) != 0) _exit(1);
    }
    _exit(0);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  for (int i = 0; i < 2 * count; ++i) {
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 1);
    CHECK(info.si_value.sival_int == i && info.si_code == SI_QUEUE);
    CHECK(info.si_pid == (i < count ? parent : child));
  }
  const timespec none{0, 0};
  CHECK(sigtimedwait(&set, nullptr, &none) == -1 && errno == EAGAIN);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
  done("signals to the process queue");
}

// By a handler, in order, when the thread lets them in.
void queued_for_a_thread() {
  handle(SIGRTMIN + 2);
  const sigset_t set = only(SIGRTMIN + 2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  for (int i = 0; i < count; ++i) {
    sigval value;
    value.sival_int = i;
    CHECK(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value) == 0);
  }
  CHECK(seen == 0);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
  CHECK(seen == count && order_errors == 0);
  done("signals to a thread queue");
}

void standard_ones_do_not() {
  const sigset_t set = only(SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  for (int i = 0; i < count; ++i) CHECK(raise(SIGUSR2) == 0);
  const timespec none{0, 0};
  CHECK(sigtimedwait(&set, nullptr, &none) == SIGUSR2);
  CHECK(sigtimedwait(&set, nullptr, &none) == -1 && errno == EAGAIN);
  done("standard signals do not");
}

sem_t called;
void on_timer(sigval value) {
  CHECK(value.sival_int == 17);
  sem_post(&called);
}

void calls_a_function() {
  CHECK(sem_init(&called, 0, 0) == 0);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = on_timer;
  event.sigev_value.sival_int = 17;
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const itimerspec often{{0, 2'000'000}, {0, 1'000'000}};
  CHECK(timer_settime(timer, 0, &often, nullptr) == 0);
  for (int i = 0; i < 3; ++i) {
    while (sem_wait(&called) != 0) CHECK(errno == EINTR);
  }
  CHECK(timer_delete(timer) == 0);
  done("a timer calls a function");
}

void* wait_for_timer(void*) {
  const sigset_t set = only(SIGRTMIN + 3);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGRTMIN + 3;
  event.sigev_value.sival_int = 18;
  event._sigev_un._tid = gettid();
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const itimerspec once{{0, 0}, {0, 1'000'000}};
  CHECK(timer_settime(timer, 0, &once, nullptr) == 0);
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 3);
  CHECK(info.si_code == SI_TIMER && info.si_value.sival_int == 18);
  CHECK(timer_delete(timer) == 0);
  return nullptr;
}

}  // namespace

int main() {
  join(start(nothing));
  queued_for_the_process();
  queued_for_a_thread();
  standard_ones_do_not();
  pthread_t all[4];
  for (pthread_t& one : all) one = start(wait_for_timer);
  for (const pthread_t one : all) join(one);
  done("timers signal one thread");
  calls_a_function();
  return 0;
}
