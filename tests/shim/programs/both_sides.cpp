// Threads come and go while others block in the kernel, so that the runtime makes kernel threads:
// it takes the same locks of libc's (of its stacks, of malloc) as the program.
#include <sched.h>
#include <time.h>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr int blockers = 6;
constexpr int rounds = 60;
constexpr int made_per_round = 20;

volatile bool over = false;

void* allocate(void* bytes) {
  for (int i = 0; i < 50; ++i) {
    std::free(std::malloc(static_cast<std::size_t>(as_number(bytes) + i)));
  }
  return std::malloc(64);
}

// A clock that is nobody's but the kernel's: a worker sleeps there for the thread. Under m:1 others
// have their turn only when it gives it to them.
void* block(void* which) {
  const timespec span{0, 50'000 * (1 + as_number(which))};
  while (!over) {
    CHECK(clock_nanosleep(CLOCK_BOOTTIME, 0, &span, nullptr) == 0);
    sched_yield();
  }
  return nullptr;
}

}  // namespace

int main() {
  pthread_t all[blockers];
  for (int i = 0; i < blockers; ++i) all[i] = start(block, i);
  for (int round = 0; round < rounds; ++round) {
    pthread_t made[made_per_round];
    for (int i = 0; i < made_per_round; ++i) made[i] = start(allocate, 1000 * i);
    for (const pthread_t one : made) std::free(reinterpret_cast<void*>(join(one)));
  }
  over = true;
  for (const pthread_t one : all) join(one);
  done("nobody waits for ever");
  return 0;
}
