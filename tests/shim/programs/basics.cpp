// Threads, their results and TLS; mutexes, condition variables, semaphores, yields.
#include <sched.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
long counter = 0;
long turn = 0;
thread_local long local = 7;
sem_t there;
sem_t back;

void* count(void* argument) {
  for (int i = 0; i < 5000; ++i) {
    pthread_mutex_lock(&lock);
    ++counter;
    pthread_mutex_unlock(&lock);
  }
  return as_result(as_number(argument) + 1);
}

void mutexes() {
  pthread_t all[8];
  for (long i = 0; i < 8; ++i) all[i] = start(count, i);
  for (long i = 0; i < 8; ++i) CHECK(join(all[i]) == i + 1);
  CHECK(counter == 40000);
  done("mutex");
}

void* hand_over(void* argument) {
  const long own = as_number(argument);
  for (int i = 0; i < 5000; ++i) {
    pthread_mutex_lock(&lock);
    while (turn != own) pthread_cond_wait(&turned, &lock);
    turn = 1 - own;
    pthread_cond_signal(&turned);
    pthread_mutex_unlock(&lock);
  }
  return nullptr;
}

void conditions() {
  const pthread_t first = start(hand_over, 0);
  const pthread_t second = start(hand_over, 1);
  join(first);
  join(second);
  CHECK(turn == 0);
  done("condition variable");
}

void* echo(void*) {
  for (int i = 0; i < 2000; ++i) {
    CHECK(sem_wait(&there) == 0);
    CHECK(sem_post(&back) == 0);
  }
  return nullptr;
}

void semaphores() {
  CHECK(sem_init(&there, 0, 0) == 0 && sem_init(&back, 0, 0) == 0);
  const pthread_t other = start(echo);
  for (int i = 0; i < 2000; ++i) {
    CHECK(sem_post(&there) == 0);
    CHECK(sem_wait(&back) == 0);
  }
  join(other);
  done("semaphore");
}

void* keep(void* argument) {
  const long own = as_number(argument);
  CHECK(local == 7);
  local = own;
  errno = static_cast<int>(own);
  for (int i = 0; i < 50; ++i) {
    sched_yield();
    CHECK(local == own && errno == own);
  }
  return nullptr;
}

void own_storage() {
  pthread_t all[200];
  for (long i = 0; i < 200; ++i) all[i] = start(keep, i + 1);
  for (const pthread_t one : all) join(one);
  CHECK(local == 7);
  done("thread-local storage and errno");
}

void* leave(void* argument) { pthread_exit(argument); }

int ended = 0;
bool may_end = false;
void* end_alone(void*) {
  while (!__atomic_load_n(&may_end, __ATOMIC_SEQ_CST)) sched_yield();
  __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
  return nullptr;
}

// Either all have been detached before one ends, or all end and are detached well after: glibc's
// pthread_detach() reads the thread once more when that may have freed itself: SIGSEGV with 2.36.
void detach_many(bool before_they_end) {
  ended = 0;
  may_end = !before_they_end;
  pthread_t all[150];
  for (pthread_t& one : all) one = start(end_alone);
  if (before_they_end) {
    for (const pthread_t one : all) CHECK(pthread_detach(one) == 0);
    __atomic_store_n(&may_end, true, __ATOMIC_SEQ_CST);
  }
  while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) != 150) sched_yield();
  if (before_they_end) return;
  usleep(20'000);
  for (const pthread_t one : all) CHECK(pthread_detach(one) == 0);
}

void ends() {
  CHECK(join(start(leave, 77)) == 77);
  detach_many(true);
  detach_many(false);
  done("pthread_exit and detached threads");
}

void time_outs() {
  timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 2'000'000;
  if (until.tv_nsec >= 1'000'000'000) {
    until.tv_nsec -= 1'000'000'000;
    ++until.tv_sec;
  }
  pthread_mutex_lock(&lock);
  CHECK(pthread_cond_timedwait(&turned, &lock, &until) == ETIMEDOUT);
  pthread_mutex_unlock(&lock);
  CHECK(sem_timedwait(&there, &until) == -1 && errno == ETIMEDOUT);
  CHECK(usleep(1000) == 0);
  // Where one thread may do without the time stamp counter, all others' clocks go on.
  static_cast<void>(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
  CHECK(usleep(1000) == 0);
  static_cast<void>(prctl(PR_SET_TSC, PR_TSC_ENABLE));
  done("time-outs");
}

}  // namespace

int main() {
  mutexes();
  conditions();
  semaphores();
  own_storage();
  ends();
  time_outs();
  return 5;
}
