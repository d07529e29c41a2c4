// OpenMP: teams of threads, barriers, tasks, nesting, reductions. Whether its threads spin or sleep
// where they wait is OMP_WAIT_POLICY's to say; what comes out is the same.
#include <omp.h>

#include <cstdio>
#include <vector>

#include "tests/shim/programs/check.hpp"

namespace {

void loops() {
  std::vector<long> all(100'000);
  long sum = 0;
#pragma omp parallel for schedule(dynamic, 100) reduction(+ : sum)
  for (long i = 0; i < 100'000; ++i) {
    all[static_cast<size_t>(i)] = i * i;
    sum += i;
  }
  CHECK(sum == 4'999'950'000);
  long squares = 0;
#pragma omp parallel for schedule(static) reduction(+ : squares)
  for (size_t i = 0; i < all.size(); ++i) squares += all[i] % 1000;
  std::printf("loops: %ld %ld\n", sum, squares);
}

// Each round reads what its neighbour wrote in the one before.
void barriers() {
  constexpr int rounds = 300;
  long ring[2][4] = {{1, 2, 3, 4}, {}};
#pragma omp parallel num_threads(4)
  {
    const int own = omp_get_thread_num();
    for (int round = 0; round < rounds; ++round) {
      ring[(round + 1) % 2][own] = ring[round % 2][(own + 1) % 4] * 3 % 1009;
#pragma omp barrier
    }
  }
  std::printf("barriers: %ld %ld %ld %ld\n", ring[0][0], ring[0][1], ring[0][2], ring[0][3]);
}

// NOLINTNEXTLINE(misc-no-recursion): the textbook's example of tasks
long fibonacci(int n) {
  if (n < 2) return n;
  long one = 0;
  long two = 0;
#pragma omp task shared(one) if (n > 10)
  one = fibonacci(n - 1);
#pragma omp task shared(two) if (n > 10)
  two = fibonacci(n - 2);
#pragma omp taskwait
  return one + two;
}

void tasks() {
  long found = 0;
#pragma omp parallel num_threads(4)
#pragma omp single
  found = fibonacci(20);
  std::printf("tasks: %ld\n", found);
}

void nested() {
  omp_set_max_active_levels(2);
  int inner = 0;
#pragma omp parallel num_threads(3) reduction(+ : inner)
  {
#pragma omp parallel num_threads(2) reduction(+ : inner)
    inner += 1 + omp_get_level();
  }
  std::printf("nested: %d\n", inner);
}

void locks() {
  omp_lock_t lock;
  omp_init_lock(&lock);
  long by_lock = 0;
  long by_critical = 0;
  long by_atomic = 0;
#pragma omp parallel num_threads(4)
  for (int i = 0; i < 2000; ++i) {
    omp_set_lock(&lock);
    ++by_lock;
    omp_unset_lock(&lock);
#pragma omp critical
    ++by_critical;
#pragma omp atomic
    ++by_atomic;
  }
  omp_destroy_lock(&lock);
  std::printf("locks: %ld %ld %ld\n", by_lock, by_critical, by_atomic);
}

void ordered() {
  std::vector<int> seen;
#pragma omp parallel for ordered schedule(dynamic) num_threads(4)
  for (int i = 0; i < 200; ++i) {
#pragma omp ordered
    seen.push_back(i);
  }
  bool rising = seen.size() == 200;
  for (size_t i = 0; i < seen.size(); ++i) rising = rising && seen[i] == static_cast<int>(i);
  std::printf("ordered: %s\n", rising ? "in order" : "not in order");
}

}  // namespace

int main() {
  loops();
  barriers();
  tasks();
  nested();
  locks();
  ordered();
  return 0;
}
