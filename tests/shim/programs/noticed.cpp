// A signal reaches a thread that computes: it is sent while the thread is on its way back from a
// call, and after that the thread makes no call until the handler has run. With an argument: so
// many signals.
#include <sched.h>
#include <signal.h>

#include "tests/shim/programs/check.hpp"

namespace {

long wanted = 0;
volatile long seen = 0;

void note(int) { seen = seen + 1; }

void* compute(void*) {
  long calls = 0;
  for (long last = 0; last < wanted; last = seen) {
    // At another distance from the sending each time.
    for (long i = 0; i < calls % 7; ++i) sched_yield();
    ++calls;
    while (seen == last) {
    }
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  wanted = argc > 1 ? std::atol(argv[1]) : 20;
  struct sigaction action = {};
  action.sa_handler = &note;
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  const pthread_t target = start(compute);
  for (long i = 0; i < wanted; ++i) {
    CHECK(pthread_kill(target, SIGUSR1) == 0);
    while (seen == i) {
    }
  }
  join(target);
  done("each signal was noticed");
  return 0;
}
