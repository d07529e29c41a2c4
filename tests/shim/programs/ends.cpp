// How a process with threads ends: `ends WAY`.
#include <signal.h>
#include <sys/resource.h>
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

}  // namespace

int main(int argc, char** argv) {
  way = argc > 1 ? argv[1] : "return";
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  join(start(nothing));
  if (argc > 2) {
    join(start(end_here));
  } else {
    start(wait_long);
    end();
  }
  if (way == "last") pthread_exit(nullptr);
  return 6;
}
