// futex_waitv(): threads that wait at several futexes are woken at one of them by others of the
// program, in time, at once, or not.
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr int words_max = 128;
std::uint32_t words[words_max];
futex_waitv places[words_max];
std::uint32_t flags_of_all = FUTEX_32 | FUTEX_PRIVATE_FLAG;
pthread_t first;

long wait_at(unsigned count, const timespec* until = nullptr, clockid_t clock = CLOCK_MONOTONIC) {
  return syscall(SYS_futex_waitv, places, count, 0, until, clock);
}

std::uint32_t value_at(long which) { return __atomic_load_n(&words[which], __ATOMIC_SEQ_CST); }

long wake(long which, long count) {
  const int operation = FUTEX_WAKE | (flags_of_all & FUTEX_PRIVATE_FLAG);
  return syscall(SYS_futex, &words[which], operation, count, nullptr, nullptr, 0);
}

void prepare(std::uint32_t flags) {
  flags_of_all = flags;
  for (int i = 0; i < words_max; ++i) {
    words[i] = 0;
    places[i] = {0, reinterpret_cast<std::uintptr_t>(&words[i]), flags, 0};
  }
}

// Without another value: only a wake-up ends the wait.
void* wake_until_there(void* which) {
  while (wake(as_number(which), 1) == 0) usleep(100);
  return nullptr;
}

void* change_and_wake(void* which) {
  __atomic_store_n(&words[as_number(which)], 1, __ATOMIC_SEQ_CST);
  wake(as_number(which), 1);
  return nullptr;
}

void be_woken() {
  for (const unsigned count : {1u, 2u, 128u}) {
    for (const long which : {0l, static_cast<long>(count) - 1}) {
      const pthread_t other = start(wake_until_there, which);
      CHECK(wait_at(count) == which);
      join(other);
    }
  }
  const pthread_t other = start(change_and_wake, 5);
  const long result = wait_at(10);
  CHECK(result == 5 || (result == -1 && errno == EAGAIN));
  join(other);
  CHECK(wait_at(10) == -1 && errno == EAGAIN);
  words[5] = 0;
}

timespec soon(clockid_t clock, long nanoseconds) {
  timespec point;
  clock_gettime(clock, &point);
  point.tv_nsec += nanoseconds;
  if (point.tv_nsec >= 1'000'000'000) {
    point.tv_nsec -= 1'000'000'000;
    ++point.tv_sec;
  }
  return point;
}

void come_to_the_end() {
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME}) {
    const timespec until = soon(clock, 2'000'000);
    CHECK(wait_at(3, &until, clock) == -1 && errno == ETIMEDOUT);
  }
  constexpr timespec past{};
  CHECK(wait_at(3, &past) == -1 && errno == ETIMEDOUT);
  CHECK(wake(0, 1) == 0);  // nobody is left
}

void be_wrong() {
  constexpr timespec too_fine{1, 1'000'000'000};
  constexpr timespec past{};
  CHECK(wait_at(0) == -1 && errno == EINVAL);
  CHECK(wait_at(129) == -1 && errno == EINVAL);
  CHECK(wait_at(1, &too_fine) == -1 && errno == EINVAL);
  CHECK(wait_at(1, &past, CLOCK_BOOTTIME) == -1 && errno == EINVAL);
  CHECK(wait_at(1, reinterpret_cast<const timespec*>(8)) == -1 && errno == EFAULT);
  CHECK(syscall(SYS_futex_waitv, 8, 1, 0, nullptr, 0) == -1 && errno == EFAULT);
  CHECK(syscall(SYS_futex_waitv, places, 1, 1, nullptr, 0) == -1 && errno == EINVAL);
  places[1].flags = 0;
  CHECK(wait_at(2) == -1 && errno == EINVAL);
  places[1].flags = flags_of_all;
  places[1].uaddr = 8;
  CHECK(wait_at(2) == -1 && errno == EFAULT);
  places[1].uaddr = reinterpret_cast<std::uintptr_t>(&words[1]) + 1;
  CHECK(wait_at(2) == -1 && errno == EINVAL);
}

volatile int is_back = 0;

void* interrupt(void*) {
  while (!is_back) {
    CHECK(pthread_kill(first, SIGUSR1) == 0);
    usleep(1000);
  }
  return nullptr;
}

void be_interrupted() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  const pthread_t other = start(interrupt);
  CHECK(wait_at(4) == -1 && errno == EINTR);
  is_back = 1;
  join(other);
}

// Several wait for any of all words to become their round; one gives them, a word at a time.
constexpr int crowd = 6;
constexpr std::uint32_t rounds = 200;
std::uint32_t seen_by[crowd];

void* follow(void* who) {
  futex_waitv own[8];
  for (int i = 0; i < 8; ++i) own[i] = places[i];
  std::uint32_t seen = 0;
  while (seen < rounds) {
    std::uint32_t now = 0;
    for (int i = 0; i < 8; ++i) {
      own[i].val = value_at(i);
      if (own[i].val > now) now = static_cast<std::uint32_t>(own[i].val);
    }
    if (now > seen) {
      seen = now;
      __atomic_store_n(&seen_by[as_number(who)], seen, __ATOMIC_SEQ_CST);
      continue;
    }
    const long result = syscall(SYS_futex_waitv, own, 8, 0, nullptr, 0);
    CHECK(result >= 0 || errno == EAGAIN);
  }
  return nullptr;
}

void lead_a_crowd() {
  pthread_t all[crowd];
  for (int i = 0; i < crowd; ++i) all[i] = start(follow, i);
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    const long which = round * 5 % 8;
    __atomic_store_n(&words[which], round, __ATOMIC_SEQ_CST);
    wake(which, crowd);
    for (int i = 0; i < crowd; ++i) {
      while (round % 4 == 0 && __atomic_load_n(&seen_by[i], __ATOMIC_SEQ_CST) < round) usleep(10);
    }
  }
  for (const pthread_t one : all) join(one);
}

}  // namespace

int main() {
  first = pthread_self();
  for (const std::uint32_t flags : {FUTEX_32 | FUTEX_PRIVATE_FLAG, FUTEX_32}) {
    prepare(flags);
    be_woken();
    come_to_the_end();
  }
  prepare(FUTEX_32 | FUTEX_PRIVATE_FLAG);
  be_interrupted();
  lead_a_crowd();
  prepare(FUTEX_32 | FUTEX_PRIVATE_FLAG);
  be_wrong();
  done("woken by one of many");
  return 0;
}
