// All kinds of mutexes, read-write locks, barriers, spin locks, once, keys, C11 threads.
#include <sched.h>
#include <threads.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

pthread_mutex_t make(int type, bool robust, int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK(pthread_mutexattr_settype(&attributes, type) == 0);
  if (robust) CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
  CHECK(pthread_mutexattr_setprotocol(&attributes, protocol) == 0);
  pthread_mutex_t made;
  CHECK(pthread_mutex_init(&made, &attributes) == 0);
  pthread_mutexattr_destroy(&attributes);
  return made;
}

pthread_mutex_t checked;
pthread_mutex_t recursive;
pthread_mutex_t robust;
pthread_mutex_t inheriting;
long counter = 0;

void* try_others(void*) {
  CHECK(pthread_mutex_unlock(&checked) == EPERM);
  CHECK(pthread_mutex_trylock(&recursive) == EBUSY);
  return nullptr;
}

void kinds() {
  checked = make(PTHREAD_MUTEX_ERRORCHECK, false, PTHREAD_PRIO_NONE);
  recursive = make(PTHREAD_MUTEX_RECURSIVE, false, PTHREAD_PRIO_NONE);
  CHECK(pthread_mutex_lock(&checked) == 0);
  CHECK(pthread_mutex_lock(&checked) == EDEADLK);
  for (int i = 0; i < 3; ++i) CHECK(pthread_mutex_lock(&recursive) == 0);
  join(start(try_others));
  for (int i = 0; i < 3; ++i) CHECK(pthread_mutex_unlock(&recursive) == 0);
  CHECK(pthread_mutex_unlock(&checked) == 0);
  done("error-checking and recursive mutexes");
}

void* die_holding(void*) {
  CHECK(pthread_mutex_lock(&robust) == 0);
  return nullptr;
}

void owners_die() {
  robust = make(PTHREAD_MUTEX_NORMAL, true, PTHREAD_PRIO_NONE);
  join(start(die_holding));
  CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD);
  CHECK(pthread_mutex_consistent(&robust) == 0);
  CHECK(pthread_mutex_unlock(&robust) == 0);
  done("robust mutexes");
}

void* count(void*) {
  for (int i = 0; i < 500; ++i) {
    CHECK(pthread_mutex_lock(&inheriting) == 0);
    const long before = counter;
    if (i % 50 == 0) sched_yield();
    counter = before + 1;
    CHECK(pthread_mutex_unlock(&inheriting) == 0);
  }
  return nullptr;
}

void inheritance() {
  inheriting = make(PTHREAD_MUTEX_NORMAL, false, PTHREAD_PRIO_INHERIT);
  pthread_t all[4];
  for (pthread_t& one : all) one = start(count);
  for (const pthread_t one : all) join(one);
  CHECK(counter == 2000);
  done("priority-inheriting mutexes");
}

pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
long left = 0;
long right = 0;

void* read_and_write(void*) {
  for (int i = 0; i < 800; ++i) {
    if (i % 8 == 0) {
      pthread_rwlock_wrlock(&shared);
      ++left;
      if (i % 64 == 0) sched_yield();
      ++right;
    } else {
      pthread_rwlock_rdlock(&shared);
      CHECK(left == right);
    }
    pthread_rwlock_unlock(&shared);
  }
  return nullptr;
}

void read_write_locks() {
  pthread_t all[6];
  for (pthread_t& one : all) one = start(read_and_write);
  for (const pthread_t one : all) join(one);
  CHECK(left == 600 && right == 600);
  done("read-write locks");
}

pthread_barrier_t barrier;

void* meet(void*) {
  long serial = 0;
  for (int i = 0; i < 40; ++i) {
    serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
  }
  return as_result(serial);
}

void barriers() {
  CHECK(pthread_barrier_init(&barrier, nullptr, 5) == 0);
  pthread_t all[5];
  long serial = 0;
  for (pthread_t& one : all) one = start(meet);
  for (const pthread_t one : all) serial += join(one);
  CHECK(serial == 40);
  done("barriers");
}

pthread_once_t once = PTHREAD_ONCE_INIT;
int initialised = 0;
void initialise() {
  ++initialised;
  usleep(500);
}
void* begin_once(void*) {
  pthread_once(&once, initialise);
  CHECK(initialised == 1);
  return nullptr;
}

pthread_key_t key;
int destroyed = 0;
void destroy(void*) { __atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST); }
void* use_key(void* argument) {
  CHECK(pthread_getspecific(key) == nullptr);
  CHECK(pthread_setspecific(key, argument) == 0);
  sched_yield();
  CHECK(pthread_getspecific(key) == argument);
  return nullptr;
}

void onces_and_keys() {
  pthread_t all[16];
  for (pthread_t& one : all) one = start(begin_once);
  for (const pthread_t one : all) join(one);
  CHECK(pthread_key_create(&key, destroy) == 0);
  for (long i = 0; i < 16; ++i) all[i] = start(use_key, i + 1);
  for (const pthread_t one : all) join(one);
  CHECK(destroyed == 16);
  done("once, keys and their destructors");
}

int answer(void*) {
  thrd_yield();
  return 42;
}

void c11_threads() {
  thrd_t made;
  int result = 0;
  CHECK(thrd_create(&made, answer, nullptr) == thrd_success);
  CHECK(thrd_join(made, &result) == thrd_success && result == 42);
  done("C11 threads");
}

}  // namespace

int main() {
  kinds();
  owners_die();
  inheritance();
  read_write_locks();
  barriers();
  onces_and_keys();
  c11_threads();
  return 0;
}
