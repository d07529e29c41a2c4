// What can be seen of threads, also by others: names, classes, CPUs, nice values, CPU time.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "tests/shim/programs/check.hpp"

namespace {

pthread_barrier_t meeting;
volatile bool stops = false;

void meet() { pthread_barrier_wait(&meeting); }

bool is_named(pthread_t which, const char* name) {
  char found[16];
  return pthread_getname_np(which, found, sizeof found) == 0 && std::strcmp(found, name) == 0;
}

void* wait_twice(void*) {
  meet();
  meet();
  return nullptr;
}

void* show_own_name(void*) {
  meet();
  meet();
  CHECK(is_named(pthread_self(), "another"));
  char name[16];
  CHECK(prctl(PR_GET_NAME, name) == 0 && std::strcmp(name, "another") == 0);
  CHECK(prctl(PR_SET_NAME, "of a length that is cut") == 0);
  meet();
  meet();
  return nullptr;
}

void names() {
  CHECK(pthread_setname_np(pthread_self(), "first") == 0);
  const pthread_t other = start(show_own_name, 0);
  meet();
  CHECK(is_named(other, "first"));  // its creator's
  CHECK(pthread_setname_np(other, "another") == 0);
  CHECK(is_named(other, "another") && is_named(pthread_self(), "first"));
  CHECK(pthread_setname_np(other, "a name of sixteen") == ERANGE);
  meet();
  meet();
  CHECK(is_named(other, "of a length tha"));
  char little[4];
  CHECK(pthread_getname_np(other, little, sizeof little) == ERANGE);
  meet();
  join(other);
  char process[16] = {};
  const int file = open("/proc/self/comm", O_RDONLY);
  CHECK(file >= 0 && read(file, process, sizeof process) == 6);
  CHECK(std::strcmp(process, "first\n") == 0);
  close(file);
  CHECK(open("/proc/self/task/1/comm", O_RDONLY) == -1 && errno == ENOENT);
  CHECK(prctl(PR_SET_NAME, 1) == -1 && errno == EFAULT);
  done("names");
}

bool has_class(pthread_t which, int policy, int priority) {
  int found = -1;
  sched_param parameter{};
  return pthread_getschedparam(which, &found, &parameter) == 0 && found == policy &&
         parameter.sched_priority == priority;
}

pthread_t start_with(const pthread_attr_t& attributes) {
  pthread_t made;
  CHECK(pthread_create(&made, &attributes, wait_twice, nullptr) == 0);
  meet();
  return made;
}

void classes() {
  const pthread_t other = start(wait_twice, 0);
  meet();
  CHECK(has_class(other, SCHED_OTHER, 0));
  sched_param parameter{};
  CHECK(pthread_setschedparam(other, SCHED_BATCH, &parameter) == 0);
  CHECK(has_class(other, SCHED_BATCH, 0) && has_class(pthread_self(), SCHED_OTHER, 0));
  CHECK(pthread_setschedprio(other, 200) == EINVAL);
  CHECK(pthread_setschedparam(other, 77, &parameter) == EINVAL);
  parameter.sched_priority = 5;
  // An unprivileged process may not, natively or otherwise.
  const int privileged = pthread_setschedparam(other, SCHED_FIFO, &parameter);
  CHECK(privileged == 0 || privileged == EPERM);
  CHECK(privileged == EPERM || has_class(other, SCHED_FIFO, 5));
  meet();
  join(other);
  parameter.sched_priority = 0;
  CHECK(pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameter) == 0);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  const pthread_t heir = start_with(attributes);
  CHECK(has_class(heir, SCHED_BATCH, 0));
  meet();
  join(heir);
  CHECK(pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) == 0);
  CHECK(pthread_attr_setschedpolicy(&attributes, SCHED_OTHER) == 0);
  const pthread_t own = start_with(attributes);
  CHECK(has_class(own, SCHED_OTHER, 0));
  meet();
  join(own);
  pthread_attr_destroy(&attributes);
  done("classes");
}

void cpus() {
  const pthread_t other = start(wait_twice, 0);
  meet();
  cpu_set_t all;
  cpu_set_t one;
  CHECK(pthread_getaffinity_np(other, sizeof all, &all) == 0 && CPU_COUNT(&all) >= 1);
  int last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &all)) --last;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  CHECK(pthread_setaffinity_np(other, sizeof one, &one) == 0);
  cpu_set_t found;
  CHECK(pthread_getaffinity_np(other, sizeof found, &found) == 0 && CPU_EQUAL(&found, &one));
  CHECK(pthread_getaffinity_np(pthread_self(), sizeof found, &found) == 0);
  CHECK(CPU_EQUAL(&found, &all));
  CPU_ZERO(&found);
  CHECK(pthread_setaffinity_np(other, sizeof found, &found) == EINVAL);
  meet();
  join(other);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
  const pthread_t bound = start_with(attributes);
  CHECK(pthread_getaffinity_np(bound, sizeof found, &found) == 0 && CPU_EQUAL(&found, &one));
  meet();
  join(bound);
  pthread_attr_destroy(&attributes);
  done("CPUs");
}

void* be_nice(void*) {
  const auto number = static_cast<id_t>(syscall(SYS_gettid));
  CHECK(setpriority(PRIO_PROCESS, 0, 3) == 0);
  CHECK(getpriority(PRIO_PROCESS, number) == 3 && getpriority(PRIO_PROCESS, 0) == 3);
  CHECK(setpriority(PRIO_PROCESS, number, 99) == 0 && getpriority(PRIO_PROCESS, 0) == 19);
  return nullptr;
}

void niceness() {
  const int before = getpriority(PRIO_PROCESS, 0);
  join(start(be_nice, 0));
  CHECK(getpriority(PRIO_PROCESS, 0) == before);
  CHECK(getpriority(PRIO_PROCESS, 0x7ffffff) == -1 && errno == ESRCH);
  done("nice values");
}

// What a thread has, its children have.
void* make_child(void* which) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(as_number(which), &one);
  sched_param parameter{};
  CHECK(pthread_setname_np(pthread_self(), "maker") == 0);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0);
  CHECK(pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameter) == 0);
  CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char name[16] = {};
    cpu_set_t found;
    CHECK(prctl(PR_GET_NAME, name) == 0 && std::strcmp(name, "maker") == 0);
    CHECK(sched_getaffinity(0, sizeof found, &found) == 0 && CPU_EQUAL(&found, &one));
    CHECK(sched_getscheduler(0) == SCHED_BATCH && getpriority(PRIO_PROCESS, 0) == 7);
    _exit(0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return nullptr;
}

void heirs() {
  cpu_set_t all;
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  long last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(static_cast<unsigned>(last), &all)) --last;
  join(start(make_child, last));
  done("children");
}

long milliseconds(clockid_t of) {
  timespec now{};
  if (clock_gettime(of, &now) != 0) return -1;
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void* burn(void*) {
  const long end = milliseconds(CLOCK_THREAD_CPUTIME_ID) + 60;
  while (milliseconds(CLOCK_THREAD_CPUTIME_ID) < end) {
  }
  meet();
  meet();
  return nullptr;
}

void* spin(void*) {
  while (!stops) sched_yield();
  return nullptr;
}

void cpu_time() {
  const long before = milliseconds(CLOCK_THREAD_CPUTIME_ID);
  pthread_t other = start(burn, 0);
  meet();
  clockid_t clock;
  CHECK(pthread_getcpuclockid(other, &clock) == 0);
  const long used = milliseconds(clock);
  CHECK(used >= 60);
  usleep(20'000);
  CHECK(milliseconds(clock) <= used + 5);  // it waits
  const long own = milliseconds(CLOCK_THREAD_CPUTIME_ID);
  CHECK(own >= before && own < before + 50);
  meet();
  join(other);
  other = start(spin, 0);
  CHECK(pthread_getcpuclockid(other, &clock) == 0);
  const long first = milliseconds(clock);
  long then = first;
  while (then < first + 20) {  // it runs
    usleep(1000);
    then = milliseconds(clock);
    CHECK(then >= 0);
  }
  stops = true;
  join(other);
  done("CPU time");
}

}  // namespace

int main() {
  CHECK(pthread_barrier_init(&meeting, nullptr, 2) == 0);
  names();
  classes();
  cpus();
  niceness();
  heirs();
  cpu_time();
  return 0;
}
