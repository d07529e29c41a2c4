// How a process with threads ends: `ends WAY`.
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "tests/shim/programs/check.hpp"

namespace {

std::string way;

void* nothing(void*) { return nullptr; }
void* wait_long(void*) {
  for (;;) pause();
}

void end() {
  if (way == "return") return;
  if (way == "exit") std::exit(3);
  if (way == "_exit") ::_exit(4);
  if (way == "abort") std::abort();
  if (way == "segv") *static_cast<volatile int*>(nullptr) = 1;
  if (way == "fpe") raise(SIGFPE);
  if (way == "term") kill(getpid(), SIGTERM);
  if (way == "kill") kill(getpid(), SIGKILL);
  if (way == "pipe") {
    int ends[2];
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK(write(ends[1], "x", 1) == 1);
  }
  if (way == "exec") execl("/bin/sh", "sh", "-c", "exit 9", static_cast<char*>(nullptr));
}

void* end_here(void*) {
  end();
  return nullptr;
}

// The process ends with its last thread: with `first` that is main, else a thread that has waited
// for main's end. Both may leave by libc or past it.
pthread_t first_thread;

void at_end() {
  // A handler runs before the call is over only where the signal is not blocked.
  CHECK(raise(SIGUSR1) == 0);
  done("end");
}

void leave() {
  if (way == "last_raw") syscall(SYS_exit, 5);
  pthread_exit(nullptr);
}

void* outlive(void*) {
  join(first_thread);
  if (way == "last_raw_thread") syscall(SYS_exit, 7);
  return nullptr;
}

void end_last(bool is_first) {
  signal(SIGUSR1, [](int) { done("open to signals"); });
  std::atexit(&at_end);
  join(start(nothing));
  first_thread = pthread_self();
  if (is_first) leave();
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_t other;
  CHECK(pthread_create(&other, &detached, outlive, nullptr) == 0);
  leave();
}

}  // namespace

int main(int argc, char** argv) {
  way = argc > 1 ? argv[1] : "return";
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (way.rfind("last", 0) == 0) end_last(argc < 3);
  join(start(nothing));
  if (argc > 2) {
    join(start(end_here));
  } else {
    start(wait_long);
    end();
  }
  return 6;
}
