// Signals that a program sends itself by the kernel's hand have come before the call ends; what a
// timer and an alternate stack say of their signals.
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr int disarms_itself = static_cast<int>(1u << 31);  // SS_AUTODISARM of <linux/signal.h>

volatile sig_atomic_t seen = 0;
volatile int overrun = -1;

void count(int) { seen = seen + 1; }

void* wait_long(void*) {
  for (;;) pause();
}

// With all signals blocked, so that main takes them.
void start_idle() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  start(wait_long);
  CHECK(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

void to_the_group() {
  for (int i = 1; i <= 200; ++i) {
    CHECK(kill(i % 2 == 0 ? 0 : -getpgrp(), SIGUSR1) == 0);
    CHECK(seen == i);
  }
  seen = 0;
  done("to the process group");
}

void by_descriptor() {
  const long self = syscall(SYS_pidfd_open, getpid(), 0);
  CHECK(self >= 0);
  for (int i = 1; i <= 200; ++i) {
    CHECK(syscall(SYS_pidfd_send_signal, self, SIGUSR1, nullptr, 0) == 0);
    CHECK(seen == i);
  }
  seen = 0;
  close(static_cast<int>(self));
  done("by a descriptor");
}

mqd_t open_queue() {
  char name[64];
  std::snprintf(name, sizeof(name), "/treadle-own-signals-%d", getpid());
  mq_attr shape{};
  shape.mq_maxmsg = 1;
  shape.mq_msgsize = 8;
  const mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &shape);
  CHECK(queue != static_cast<mqd_t>(-1));
  mq_unlink(name);
  return queue;
}

void by_queue() {
  const mqd_t queue = open_queue();
  sigevent wanted{};
  wanted.sigev_notify = SIGEV_SIGNAL;
  wanted.sigev_signo = SIGUSR1;
  for (int i = 1; i <= 200; ++i) {
    char message[8] = {};
    CHECK(mq_notify(queue, &wanted) == 0);
    CHECK(mq_send(queue, message, sizeof(message), 0) == 0);
    CHECK(seen == i);
    CHECK(mq_receive(queue, message, sizeof(message), nullptr) == 8);
  }
  seen = 0;
  mq_close(queue);
  done("by a message queue");
}

// With SA_RESTART, as signal() has it, a signal does not end the wait for a message.
void begun_again() {
  const mqd_t queue = open_queue();
  char message[8] = {};
  const pid_t parent = getpid();
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    for (int i = 0; i < 20; ++i) {
      kill(parent, SIGUSR1);
      usleep(1000);
    }
    _exit(mq_send(queue, message, sizeof(message), 0));
  }
  CHECK(mq_receive(queue, message, sizeof(message), nullptr) == 8);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0 && seen > 0);
  seen = 0;
  mq_close(queue);
  done("begun again");
}

void note_overrun(int, siginfo_t* info, void*) { overrun = info->si_overrun; }

void overruns() {
  struct sigaction action = {};
  action.sa_sigaction = &note_overrun;
  action.sa_flags = SA_SIGINFO;
  CHECK(sigaction(SIGUSR2, &action, nullptr) == 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  sigevent wanted{};
  wanted.sigev_notify = SIGEV_SIGNAL;
  wanted.sigev_signo = SIGUSR2;
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &wanted, &timer) == 0);
  const itimerspec often{{0, 1'000'000}, {0, 1'000'000}};
  CHECK(timer_settime(timer, 0, &often, nullptr) == 0);
  usleep(30'000);
  const itimerspec never{};
  sigset_t none;
  sigemptyset(&none);
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_overrun >= 0);
  CHECK(timer_getoverrun(timer) == info.si_overrun);
  CHECK(sigsuspend(&none) == -1 && errno == EINTR);
  CHECK(overrun >= 0 && timer_getoverrun(timer) == overrun);
  CHECK(timer_settime(timer, 0, &never, nullptr) == 0 && timer_getoverrun(timer) == 0);
  CHECK(timer_delete(timer) == 0 && timer_getoverrun(timer) == -1 && errno == EINVAL);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
  done("overruns");
}

alignas(16) char other_stack[64 * 1024];
volatile int flags_inside = 0;

void look_at_stack(int) {
  stack_t found{};
  CHECK(sigaltstack(nullptr, &found) == 0);
  const char here = 0;
  const bool is_there = &here >= other_stack && &here < other_stack + sizeof(other_stack);
  flags_inside = found.ss_flags | (is_there ? 0x100 : 0);
}

void alternate_stacks() {
  struct sigaction action = {};
  action.sa_handler = &look_at_stack;
  action.sa_flags = SA_ONSTACK;
  CHECK(sigaction(SIGUSR2, &action, nullptr) == 0);
  stack_t wanted{other_stack, SS_DISABLE | SS_ONSTACK, sizeof(other_stack)};
  CHECK(sigaltstack(&wanted, nullptr) == -1 && errno == EINVAL);
  for (const int flags : {0, disarms_itself}) {
    wanted.ss_flags = flags;
    CHECK(sigaltstack(&wanted, nullptr) == 0);
    CHECK(raise(SIGUSR2) == 0);
    CHECK(flags_inside == (0x100 | (flags == 0 ? SS_ONSTACK : SS_DISABLE)));
    stack_t found{};
    CHECK(sigaltstack(nullptr, &found) == 0);
    CHECK(found.ss_sp == other_stack && found.ss_flags == flags);
  }
  wanted.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&wanted, nullptr) == 0);
  done("alternate stacks");
}

}  // namespace

int main() {
  // A group of its own: others do not want its signals.
  CHECK(setpgid(0, 0) == 0 || errno == EPERM);
  signal(SIGUSR1, count);
  start_idle();
  to_the_group();
  by_descriptor();
  by_queue();
  begun_again();
  overruns();
  alternate_stacks();
  return 0;
}
