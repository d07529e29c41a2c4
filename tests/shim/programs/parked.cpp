// Pthreads that wait for this and that, for the debugger's script: stop_here() is called when each
// is where its name says, as far as one can know without Treadle.
#include <semaphore.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

pthread_mutex_t guarded = PTHREAD_MUTEX_INITIALIZER;
sem_t closed;
int pipe_ends[2];
volatile int begun = 0;

// Noinline, all of them: the backtrace is to have them.
[[gnu::noinline]] void wait_for_lock() {
  pthread_mutex_lock(&guarded);
  pthread_mutex_unlock(&guarded);
}
[[gnu::noinline]] void wait_for_semaphore() {
  CHECK(sem_wait(&closed) == 0);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void wait_for_pipe() {
  char byte = 0;
  CHECK(read(pipe_ends[0], &byte, 1) == 1);
  asm volatile("" ::: "memory");
}

void* run(void* body) {
  __atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
  reinterpret_cast<void (*)()>(body)();
  return nullptr;
}

}  // namespace

extern "C" [[gnu::noinline]] void stop_here() { asm volatile("" ::: "memory"); }

int main() {
  CHECK(pipe(pipe_ends) == 0 && sem_init(&closed, 0, 0) == 0);
  pthread_mutex_lock(&guarded);
  pthread_t threads[3];
  void (*const bodies[])() = {wait_for_lock, wait_for_semaphore, wait_for_pipe};
  for (int i = 0; i < 3; ++i) threads[i] = start(run, reinterpret_cast<long>(bodies[i]));
  // They wait soon after they have begun: the test looks only at m:1, where they get no further
  // than to their wait before this thread goes on.
  while (begun < 3) usleep(1000);
  usleep(10000);
  stop_here();
  pthread_mutex_unlock(&guarded);
  CHECK(sem_post(&closed) == 0 && write(pipe_ends[1], "", 1) == 1);
  for (const pthread_t each : threads) join(each);
  done("done");
  return 0;
}
