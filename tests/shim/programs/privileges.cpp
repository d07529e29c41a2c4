// Changes of the user and the groups reach every kernel thread of the process. `privileges drop` or
// `privileges twice`; by root, else there is nothing to be changed.
#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr uid_t nobody = 65534;

int ends[2];
volatile bool computes = true;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
bool dropped = false;

// What the kernel says of every kernel thread.
void expect_everywhere(const std::string& wanted) {
  DIR* tasks = opendir("/proc/self/task");
  CHECK(tasks != nullptr);
  int found = 0;
  while (const dirent* one = readdir(tasks)) {
    if (one->d_name[0] == '.') continue;
    std::ifstream status(std::string("/proc/self/task/") + one->d_name + "/status");
    std::string line;
    while (std::getline(status, line)) {
      const bool is_it =
          line.compare(0, wanted.find('\t') + 1, wanted, 0, wanted.find('\t') + 1) == 0;
      if (!is_it) continue;
      if (line != wanted) std::printf("%s: %s\n", one->d_name, line.c_str());
      CHECK(line == wanted);
      ++found;
    }
  }
  closedir(tasks);
  CHECK(found > 0);
}

void check_dropped() {
  CHECK(getuid() == nobody && geteuid() == nobody && getgid() == nobody);
  CHECK(setuid(0) == -1 && errno == EPERM);
}

void* wait_in_read(void*) {
  char byte;
  CHECK(read(ends[0], &byte, 1) == 1);
  check_dropped();
  return nullptr;
}

void* wait_for_change(void*) {
  pthread_mutex_lock(&lock);
  while (!dropped) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  check_dropped();
  return nullptr;
}

void* compute(void*) {
  // Under m:1 others have their turn only when it makes a call.
  while (computes) sched_yield();
  check_dropped();
  return nullptr;
}

void drop() {
  CHECK(pipe(ends) == 0);
  pthread_t all[9];
  for (int i = 0; i < 9; ++i) {
    all[i] = start(i % 3 == 0 ? wait_in_read : i % 3 == 1 ? wait_for_change : compute);
  }
  usleep(1000);
  CHECK(setgroups(0, nullptr) == 0);
  CHECK(setgid(nobody) == 0);
  CHECK(setuid(nobody) == 0);
  expect_everywhere("Uid:\t65534\t65534\t65534\t65534");
  expect_everywhere("Gid:\t65534\t65534\t65534\t65534");
  expect_everywhere("Groups:\t ");
  computes = false;
  pthread_mutex_lock(&lock);
  dropped = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  CHECK(write(ends[1], "aaa", 3) == 3);
  for (const pthread_t one : all) join(one);
  done("all have dropped their privileges");
}

void* yield_on(void*) {
  while (computes) sched_yield();
  return nullptr;
}

// To make the second call twice in one kernel thread would end with uid 0 throughout.
void* take_back(void*) {
  CHECK(setresuid(1000, 1000, 0) == 0);
  expect_everywhere("Uid:\t1000\t1000\t0\t1000");
  CHECK(setuid(0) == 0);
  expect_everywhere("Uid:\t1000\t0\t0\t0");
  CHECK(setreuid(1000, 1000) == 0);
  expect_everywhere("Uid:\t1000\t1000\t1000\t1000");
  return nullptr;
}

void twice() {
  pthread_t others[4];
  for (pthread_t& one : others) one = start(yield_on);
  join(start(take_back));
  computes = false;
  CHECK(getuid() == 1000);
  for (const pthread_t one : others) join(one);
  done("each change is made once");
}

}  // namespace

int main(int argc, char** argv) {
  if (geteuid() != 0) {
    done("not root");
    return 0;
  }
  if (argc > 1 && std::string(argv[1]) == "twice") {
    twice();
  } else if (argc > 1 && std::string(argv[1]) == "raw") {
    start(yield_on);
    syscall(SYS_setuid, nobody);
  } else {
    drop();
  }
  return 0;
}
