// FUTEX_WAKE of all: those who wait at its beginning, once each, though they wait again at once.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdint>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr int crowd = 8;
std::uint32_t word = 0;

void* wait_again(void*) {
  while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  return nullptr;
}

long wake_all() {
  return syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

int main() {
  pthread_t all[crowd];
  for (pthread_t& one : all) one = start(wait_again);
  constexpr int rounds = 2000;  // under m:n with two workers each run woke some twice
  for (int i = 0; i < rounds; ++i) {
    const long woken = wake_all();
    CHECK(woken >= 0 && woken <= crowd);
    usleep(50);
  }
  __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
  wake_all();
  for (const pthread_t one : all) join(one);
  done("woken once each");
  return 0;
}
