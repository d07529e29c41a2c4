// Children of a process with threads, pipes between threads and processes.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>

#include "tests/shim/programs/check.hpp"

namespace {

int ends[2];

void* nothing(void*) { return nullptr; }

void* read_one(void*) {
  char byte = 0;
  CHECK(read(ends[0], &byte, 1) == 1);
  return as_result(byte);
}

void pipes() {
  CHECK(pipe(ends) == 0);
  pthread_t all[5];
  for (pthread_t& one : all) one = start(read_one);
  usleep(1000);
  CHECK(write(ends[1], "aaaaa", 5) == 5);
  for (const pthread_t one : all) CHECK(join(one) == 'a');
  done("reads that wait");
}

void* write_much(void*) {
  static char much[300'000];
  CHECK(write(ends[1], much, sizeof(much)) == static_cast<ssize_t>(sizeof(much)));
  return nullptr;
}

void writes_that_wait() {
  const pthread_t writer = start(write_much);
  static char part[5000];
  long all = 0;
  while (all < 300'000) {
    const ssize_t got = read(ends[0], part, sizeof(part));
    CHECK(got > 0);
    all += got;
  }
  join(writer);
  done("writes that wait");
}

void* poll_it(void*) {
  pollfd one{ends[0], POLLIN, 0};
  CHECK(poll(&one, 1, -1) == 1 && (one.revents & POLLIN) != 0);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  CHECK(select(ends[0] + 1, &set, nullptr, nullptr, nullptr) == 1);
  return read_one(nullptr);
}

void polls() {
  const pthread_t other = start(poll_it);
  usleep(1000);
  CHECK(write(ends[1], "b", 1) == 1);
  CHECK(join(other) == 'b');
  pollfd one{ends[0], POLLIN, 0};
  CHECK(poll(&one, 1, 1) == 0);
  done("poll and select");
}

int pair[2];
void* answer(void*) {
  char text[4] = {};
  CHECK(recv(pair[1], text, 4, MSG_WAITALL) == 4);
  CHECK(send(pair[1], text, 4, 0) == 4);
  return nullptr;
}

void sockets() {
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const pthread_t other = start(answer);
  char text[4] = {};
  CHECK(send(pair[0], "ping", 4, 0) == 4);
  CHECK(recv(pair[0], text, 4, 0) == 4 && std::memcmp(text, "ping", 4) == 0);
  join(other);
  done("sockets");
}

int status_of(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void* wait_long(void*) {
  for (;;) pause();
}

void forks() {
  start(wait_long);
  pid_t child = fork();
  if (child == 0) {
    // In a child of a process with threads only what is async-signal-safe may be relied on.
    char byte = 'c';
    if (write(ends[1], &byte, 1) != 1) _exit(1);
    _exit(7);
  }
  CHECK(child > 0);
  CHECK(status_of(child) == 7);
  CHECK(as_number(read_one(nullptr)) == 'c');
  child = fork();
  if (child == 0) {
    kill(getpid(), SIGTERM);
    for (;;) pause();
  }
  CHECK(status_of(child) == -SIGTERM);
  child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", "exit 8", static_cast<char*>(nullptr));
    _exit(1);
  }
  CHECK(status_of(child) == 8);
  done("fork");
}

// A child with a stack and memory of its own comes back on that stack.
alignas(16) char stack_of_child[64 * 1024];
int on_own_stack(void* argument) {
  char here = 'c';
  CHECK(&here > stack_of_child && &here < stack_of_child + sizeof(stack_of_child));
  return static_cast<int>(as_number(argument)) + (getppid() == getpid() ? 1 : 0);
}

void clones() {
  for (const long status : {3L, 4L}) {
    const pid_t child =
        clone(&on_own_stack, stack_of_child + sizeof(stack_of_child), SIGCHLD, as_result(status));
    CHECK(child > 0);
    CHECK(status_of(child) == status);
  }
  done("clone");
}

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
long sum = 0;
void* add(void* part) {
  pthread_mutex_lock(&lock);
  sum += as_number(part);
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return part;
}

// glibc lets such a child make threads.
void threads_of_a_child() {
  const pid_t child = fork();
  if (child == 0) {
    pthread_t all[4];
    for (long i = 0; i < 4; ++i) all[i] = start(add, i + 1);
    pthread_mutex_lock(&lock);
    while (sum != 10) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (long i = 0; i < 4; ++i) CHECK(join(all[i]) == i + 1);
    _exit(11);
  }
  CHECK(status_of(child) == 11);
  done("threads of a forked child");
}

void spawns() {
  pid_t child = 0;
  char name[] = "sh";
  char option[] = "-c";
  char text[] = "exit 9";
  char* const arguments[] = {name, option, text, nullptr};
  CHECK(posix_spawn(&child, "/bin/sh", nullptr, nullptr, arguments, environ) == 0);
  CHECK(status_of(child) == 9);
  child = vfork();
  if (child == 0) {
    execve("/bin/sh", arguments, environ);
    _exit(1);
  }
  CHECK(status_of(child) == 9);
  CHECK(WEXITSTATUS(system("exit 3")) == 3);
  done("posix_spawn, vfork and system");
}

}  // namespace

int main() {
  clones();  // also before there are threads
  join(start(nothing));
  pipes();
  writes_that_wait();
  polls();
  sockets();
  forks();
  clones();
  threads_of_a_child();
  spawns();
  return 0;
}
