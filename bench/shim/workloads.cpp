// Ordinary pthread programs in one: what shim.py runs natively and under `treadle run`.
//
//     bench-shim WORKLOAD COUNT
//
// Prints one line of JSON: how many operations there were, and their time on the wall and on all
// CPUs (the process's own clock, so that no kernel thread's work is hidden). Nothing of Treadle is
// in it. Each workload first runs a tenth of its count: the first thread has then been made. But
// live-threads does not, whose threads would find the memory of those before them.
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(const char* what, int error) {
  std::fprintf(stderr, "bench-shim: %s: %s\n", what, std::strerror(error));
  std::exit(1);
}

void must(int error, const char* what) {
  if (error != 0) die(what, error);
}

pthread_t start(void* (*function)(void*), void* argument = nullptr) {
  pthread_t made;
  must(pthread_create(&made, nullptr, function, argument), "pthread_create");
  return made;
}

void join(pthread_t which) { must(pthread_join(which, nullptr), "pthread_join"); }

long count = 0;  // of the running workload, for its threads

// ---- hand-offs: an operation is one thread going on where the other has stopped ----

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
long turn = 0;

void* take_turns(void* argument) {
  const long own = argument != nullptr ? 1 : 0;
  for (long i = 0; i < count / 2; ++i) {
    pthread_mutex_lock(&lock);
    while (turn != own) pthread_cond_wait(&turned, &lock);
    turn = 1 - own;
    pthread_cond_signal(&turned);
    pthread_mutex_unlock(&lock);
  }
  return nullptr;
}

void in_two_threads(void* (*function)(void*)) {
  const pthread_t first = start(function);
  const pthread_t second = start(function, &count);
  join(first);
  join(second);
}

void condition() { in_two_threads(take_turns); }

sem_t tokens[2];

void* pass_tokens(void* argument) {
  const int own = argument != nullptr ? 1 : 0;
  for (long i = 0; i < count / 2; ++i) {
    sem_wait(&tokens[own]);
    sem_post(&tokens[1 - own]);
  }
  return nullptr;
}

void semaphore() {
  sem_init(&tokens[0], 0, 1);
  sem_init(&tokens[1], 0, 0);
  in_two_threads(pass_tokens);
}

void* give_way(void*) {
  for (long i = 0; i < count / 2; ++i) sched_yield();
  return nullptr;
}

void yield() { in_two_threads(give_way); }

// ---- threads ----

void* nothing(void*) { return nullptr; }

void create_join() {
  for (long i = 0; i < count; ++i) join(start(nothing));
}

pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
long arrived = 0;
bool may_go = false;

void* stay(void*) {
  pthread_mutex_lock(&lock);
  if (++arrived == count) pthread_cond_signal(&changed);
  while (!may_go) pthread_cond_wait(&turned, &lock);
  pthread_mutex_unlock(&lock);
  return nullptr;
}

long resident_bytes() {
  long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%*s %ld", &pages) != 1) die("/proc/self/statm", 0);
  std::fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

long kernel_threads() {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) die("/proc/self/task", errno);
  long found = 0;
  while (const dirent* entry = readdir(folder)) found += entry->d_name[0] != '.';
  closedir(folder);
  return found;
}

long bytes_each = 0;
long kernel_threads_then = 0;

// All alive at once, parked.
void live_threads() {
  arrived = 0;
  may_go = false;
  std::vector<pthread_t> all(static_cast<std::size_t>(count));
  std::memset(all.data(), 1, all.size() * sizeof(all[0]));  // its pages are not the threads'
  const long before = resident_bytes();
  for (pthread_t& one : all) one = start(stay);
  pthread_mutex_lock(&lock);
  while (arrived != count) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  bytes_each = (resident_bytes() - before) / count;
  kernel_threads_then = kernel_threads();
  pthread_mutex_lock(&lock);
  may_go = true;
  pthread_cond_broadcast(&turned);
  pthread_mutex_unlock(&lock);
  for (const pthread_t one : all) join(one);
}

// ---- one thread ----

void uncontended() {
  for (long i = 0; i < count; ++i) {
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
  }
}

void libc_call() {
  for (long i = 0; i < count; ++i) static_cast<void>(getppid());
}

void raw_call() {
  for (long i = 0; i < count; ++i) static_cast<void>(syscall(SYS_getppid));
}

// ---- producers and consumers: an operation is one item, of 1,000 threads half are either ----

constexpr long slots = 64;  // few for 500 producers: they wait for conditions most of the time
constexpr long thread_count = 1000;
pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
long filled = 0;
long long checksum = 0;

void* produce(void*) {
  for (long i = 0; i < count / (thread_count / 2); ++i) {
    pthread_mutex_lock(&lock);
    while (filled == slots) pthread_cond_wait(&not_full, &lock);
    ++filled;
    checksum += i;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&lock);
  }
  return nullptr;
}

void* consume(void*) {
  for (long i = 0; i < count / (thread_count / 2); ++i) {
    pthread_mutex_lock(&lock);
    while (filled == 0) pthread_cond_wait(&not_empty, &lock);
    --filled;
    checksum -= i;
    pthread_cond_signal(&not_full);
    pthread_mutex_unlock(&lock);
  }
  return nullptr;
}

void producers_consumers() {
  std::vector<pthread_t> all;
  for (long i = 0; i < thread_count / 2; ++i) {
    all.push_back(start(produce));
    all.push_back(start(consume));
  }
  for (const pthread_t one : all) join(one);
  if (checksum != 0 || filled != 0) die("items were lost", 0);
}

struct workload {
  const char* name;
  void (*run)();
};
constexpr workload workloads[] = {
    {"condition", condition},
    {"semaphore", semaphore},
    {"yield", yield},
    {"create-join", create_join},
    {"live-threads", live_threads},
    {"mutex", uncontended},
    {"libc-call", libc_call},
    {"raw-call", raw_call},
    {"producers-consumers", producers_consumers},
};

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  // Only started: with a thread, or without any.
  if (name == "nothing") return 0;
  if (name == "one-thread") {
    join(start(nothing));
    return 0;
  }
  const long wanted = argc > 2 ? std::atol(argv[2]) : 0;
  for (const workload& one : workloads) {
    if (name != one.name || wanted <= 0) continue;
    join(start(nothing));
    count = one.run == live_threads ? 0 : wanted / 10;
    if (count > 0) one.run();
    count = wanted;
    const double wall = seconds(CLOCK_MONOTONIC);
    const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    one.run();
    const double cpu_spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    const double wall_spent = seconds(CLOCK_MONOTONIC) - wall;
    std::printf(
        "{\"operations\": %ld, \"wall_s\": %.9f, \"cpu_s\": %.9f, \"bytes_each\": %ld, "
        "\"kernel_threads\": %ld}\n",
        wanted, wall_spent, cpu_spent, bytes_each, kernel_threads_then);
    return 0;
  }
  std::fprintf(stderr, "usage: bench-shim WORKLOAD COUNT\n");
  for (const workload& one : workloads) std::fprintf(stderr, "  %s\n", one.name);
  return 1;
}
