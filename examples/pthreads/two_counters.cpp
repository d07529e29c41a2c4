// The textbook's first program: two threads count, each bound to a CPU of its own. Plain pthreads;
// run it under each model:
//
//   treadle run --model m:1 -- two_counters     they ran one after another
//   treadle run --model 1:1 -- two_counters     they ran at the same time
//   treadle run --model m:n -- two_counters     they ran at the same time
//
// In m:1 there is one kernel thread, and a loop that never waits keeps it to itself.
#include <pthread.h>
#include <sched.h>

#include <cstdio>
#include <ctime>

namespace {

constexpr double seconds_each = 0.3;

struct counter {
  int cpu = 0;
  long count = 0;
  double begin = 0;
  double end = 0;
};

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void* count_for_a_while(void* argument) {
  counter& mine = *static_cast<counter*>(argument);
  cpu_set_t own_cpu;
  CPU_ZERO(&own_cpu);
  CPU_SET(mine.cpu, &own_cpu);
  if (pthread_setaffinity_np(pthread_self(), sizeof own_cpu, &own_cpu) != 0) {
    std::printf("there is no CPU %d: counting on any\n", mine.cpu);
  }
  mine.begin = now();
  while (now() < mine.begin + seconds_each) ++mine.count;
  mine.end = now();
  return nullptr;
}

}  // namespace

int main() {
  counter counters[2];
  pthread_t threads[2];
  for (int index = 0; index < 2; ++index) {
    counters[index].cpu = index;
    if (pthread_create(&threads[index], nullptr, count_for_a_while, &counters[index]) != 0) {
      std::fprintf(stderr, "no thread could be made\n");
      return 1;
    }
  }
  for (const pthread_t each : threads) pthread_join(each, nullptr);
  for (const counter& each : counters) std::printf("counted to %ld\n", each.count);
  const bool overlap = counters[0].begin < counters[1].end && counters[1].begin < counters[0].end;
  std::printf("they ran %s\n", overlap ? "at the same time" : "one after another");
  return 0;
}
