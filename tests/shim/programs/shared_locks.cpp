// Priority-inheriting mutexes between processes: a child that fork() made, another program under
// the shim, and one without it.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

#include "tests/shim/programs/check.hpp"

namespace {

struct shared_page {
  pthread_mutex_t lock;
  std::atomic<int> step;
  long count;
};
shared_page* page;
int page_file;
const char* own_path;

void make_lock(bool robust, int type = PTHREAD_MUTEX_NORMAL) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
  CHECK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
  CHECK(pthread_mutexattr_settype(&attributes, type) == 0);
  if (robust) CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
  CHECK(pthread_mutex_init(&page->lock, &attributes) == 0);
  page->step = 0;
  page->count = 0;
}

void map_page() {
  void* memory =
      mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE, MAP_SHARED, page_file, 0);
  CHECK(memory != MAP_FAILED);
  page = static_cast<shared_page*>(memory);
}

void wait_for_step(int wanted) {
  while (page->step != wanted) usleep(500);
}

timespec in_milliseconds(int span) {
  timespec point;
  clock_gettime(CLOCK_REALTIME, &point);
  point.tv_sec += span / 1000;
  point.tv_nsec += span % 1000 * 1'000'000;
  if (point.tv_nsec >= 1'000'000'000) ++point.tv_sec, point.tv_nsec -= 1'000'000'000;
  return point;
}

int lock_within(int milliseconds) {
  const timespec point = in_milliseconds(milliseconds);
  return pthread_mutex_timedlock(&page->lock, &point);
}

void* count(void*) {
  for (int i = 0; i < 100; ++i) {
    CHECK(pthread_mutex_lock(&page->lock) == 0);
    const long before = page->count;
    if (i % 10 == 0) usleep(100);
    page->count = before + 1;
    CHECK(pthread_mutex_unlock(&page->lock) == 0);
    if (i % 4 == 0) sched_yield();
  }
  return nullptr;
}

void count_in_two() {
  const pthread_t other = start(count);
  count(nullptr);
  join(other);
}

// The other process holds it until told, and then waits for it.
int hold_and_wait() {
  CHECK(pthread_mutex_lock(&page->lock) == 0);
  page->step = 1;
  wait_for_step(2);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  wait_for_step(3);
  CHECK(pthread_mutex_trylock(&page->lock) == EBUSY);
  CHECK(lock_within(20) == ETIMEDOUT);
  page->step = 4;
  CHECK(lock_within(60'000) == 0);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  return 0;
}

int act(const char* role) {
  if (std::strcmp(role, "count") == 0) return count_in_two(), 0;
  if (std::strcmp(role, "thread") == 0) {
    return static_cast<int>(join(start([](void*) -> void* { return as_result(hold_and_wait()); })));
  }
  return hold_and_wait();
}

enum class other { child, program, native };

pid_t begin(other which, const char* role) {
  const pid_t made = fork();
  CHECK(made >= 0);
  if (made != 0) return made;
  if (which == other::child) _exit(act(role));
  char number[16];
  std::snprintf(number, sizeof(number), "%d", page_file);
  char* const nothing[] = {nullptr};
  char* const words[] = {const_cast<char*>(own_path), const_cast<char*>(role), number, nullptr};
  execve(own_path, words, which == other::native ? nothing : environ);
  _exit(99);
}

void end(pid_t process) {
  int status = 0;
  CHECK(waitpid(process, &status, 0) == process);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void* let_go(void*) {
  usleep(2000);
  page->step = 2;
  return nullptr;
}

void* meet(void*) {
  wait_for_step(1);
  CHECK(pthread_mutex_trylock(&page->lock) == EBUSY);
  CHECK(lock_within(5) == ETIMEDOUT);
  // Where a wait blocked others, nobody would tell the holder to let go.
  const pthread_t helper = start(let_go);
  CHECK(lock_within(60'000) == 0);
  join(helper);
  page->step = 3;
  wait_for_step(4);
  usleep(2000);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  return nullptr;
}

// A process that knows nothing of our numbers cannot wait for any thread but the first.
void take_turns(other which, const char* role, bool robust, bool in_thread) {
  make_lock(robust);
  const pid_t process = begin(which, role);
  if (in_thread) {
    join(start(meet));
  } else {
    meet(nullptr);
  }
  end(process);
}

void turns() {
  for (const bool robust : {false, true}) {
    for (const char* role : {"self", "thread"}) {
      for (const bool in_thread : {false, true}) take_turns(other::child, role, robust, in_thread);
      take_turns(other::native, role, robust, false);
    }
    for (const bool in_thread : {false, true}) {
      take_turns(other::program, "thread", robust, in_thread);
    }
  }
  done("one holds and the other waits");
}

void counts() {
  for (const other which : {other::child, other::program}) {
    for (const bool robust : {false, true}) {
      make_lock(robust);
      const pid_t first = begin(which, "count");
      const pid_t second = begin(which, "count");
      count_in_two();
      end(first);
      end(second);
      CHECK(page->count == 600);
    }
  }
  done("counted together");
}

void* lock_until_told(void*) {
  while (page->step == 0) {
    CHECK(pthread_mutex_lock(&page->lock) == 0);
    for (std::atomic<int> i = 0; i < 20; ++i) {
    }
    CHECK(pthread_mutex_unlock(&page->lock) == 0);
    sched_yield();
  }
  return nullptr;
}

// A child asks for what its parent's thread has, just when that lets go.
void races() {
  make_lock(false);
  const pthread_t other = start(lock_until_told);
  const pid_t process = fork();
  if (process == 0) {
    for (int i = 0; i < 100'000; ++i) {
      CHECK(pthread_mutex_lock(&page->lock) == 0);
      CHECK(pthread_mutex_unlock(&page->lock) == 0);
    }
    _exit(0);
  }
  end(process);
  page->step = 1;
  join(other);
  done("raced");
}

void* die_holding(void*) {
  CHECK(pthread_mutex_lock(&page->lock) == 0);
  return nullptr;
}

void* inherit(void*) {
  CHECK(lock_within(60'000) == EOWNERDEAD);
  CHECK(pthread_mutex_consistent(&page->lock) == 0);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  return nullptr;
}

void owners_die() {
  make_lock(true);
  pid_t process = fork();
  if (process == 0) {
    die_holding(nullptr);
    _exit(0);
  }
  end(process);
  inherit(nullptr);
  process = fork();
  if (process == 0) {
    die_holding(nullptr);
    page->step = 1;
    pause();
  }
  wait_for_step(1);
  const pthread_t heir = start(inherit);
  usleep(2000);
  kill(process, SIGKILL);
  CHECK(waitpid(process, nullptr, 0) == process);
  join(heir);
  join(start(die_holding));
  process = fork();
  if (process == 0) {
    inherit(nullptr);
    _exit(0);
  }
  end(process);
  CHECK(lock_within(60'000) == 0);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  done("owners that die");
}

std::atomic<int> handled{0};

void* wait_beside_signals(void*) {
  CHECK(pthread_mutex_lock(&page->lock) == 0);
  CHECK(handled == 1);
  CHECK(pthread_mutex_lock(&page->lock) == 0);  // recursive
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  return nullptr;
}

void signals_in_waits() {
  struct sigaction action {};
  action.sa_handler = [](int) { ++handled; };
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  make_lock(false, PTHREAD_MUTEX_RECURSIVE);
  CHECK(pthread_mutex_lock(&page->lock) == 0);
  const pthread_t waiter = start(wait_beside_signals);
  usleep(2000);
  CHECK(pthread_kill(waiter, SIGUSR1) == 0);
  while (handled == 0) usleep(500);
  CHECK(pthread_mutex_unlock(&page->lock) == 0);
  join(waiter);
  done("a signal while one waits");
}

}  // namespace

int main(int count, char** words) {
  own_path = "/proc/self/exe";
  if (count == 3) {
    page_file = std::atoi(words[2]);
    map_page();
    return act(words[1]);
  }
  page_file = memfd_create("page", 0);
  CHECK(page_file >= 0 && ftruncate(page_file, sizeof(shared_page)) == 0);
  map_page();
  join(start([](void*) -> void* { return nullptr; }));
  turns();
  counts();
  races();
  owners_die();
  signals_in_waits();
  return 0;
}
