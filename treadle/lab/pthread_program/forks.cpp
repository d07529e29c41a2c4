// What becomes of a process that is forked while other threads run and hold locks.
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/pthread_program/parts.hpp"

extern char** environ;

namespace treadle::lab::pthread_program {
namespace {

// Guess: a child that is only slow has ended after that.
constexpr long patient_milliseconds = 10'000;

pthread_mutex_t guarded = PTHREAD_MUTEX_INITIALIZER;
base::atomic<bool> is_held{false};
base::atomic<bool> may_release{false};
base::atomic<bool> over{false};
base::atomic<std::uint64_t> ticks{0};

void* hold_lock(void*) {
  must(pthread_mutex_lock(&guarded), "pthread_mutex_lock");
  is_held.store(true, base::seq_cst);  // seq_cst, here and below: nothing here is timed
  while (!may_release.load(base::seq_cst)) usleep(1000);
  must(pthread_mutex_unlock(&guarded), "pthread_mutex_unlock");
  return nullptr;
}

void* tick(void*) {
  while (!over.load(base::seq_cst)) {
    ticks.fetch_add(1, base::seq_cst);
    sched_yield();
  }
  return nullptr;
}

void* use_malloc(void*) {
  while (!over.load(base::seq_cst)) {
    for (int size = 16; size < 4096; size *= 2)
      std::free(std::malloc(static_cast<std::size_t>(size)));
    sched_yield();
  }
  return nullptr;
}

void* nothing(void*) { return nullptr; }

void* make_threads(void*) {
  while (!over.load(base::seq_cst)) join(start(nothing, nullptr));
  return nullptr;
}

// 1 when the child has not ended with status 0 within the time; it is ended then.
int is_stuck(pid_t child, long milliseconds) {
  for (long waited = 0; waited < milliseconds; ++waited) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended < 0) give_up("waitpid", errno);
    if (ended == child) return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
    usleep(1000);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 1;
}

pid_t forked(void (*child)(int word), int word = -1) {
  const pid_t made = fork();
  if (made < 0) give_up("fork", errno);
  if (made > 0) return made;
  child(word);
  _exit(0);
}

void say_and_lock(int word) {
  const char byte = 1;
  if (write(word, &byte, 1) != 1) _exit(1);
  pthread_mutex_lock(&guarded);
}

// The time counts from when the child is about to lock, so that a slow start is not taken for it.
int lock_in_child(long milliseconds) {
  int ends[2];
  must(pipe(ends), "pipe");
  const pid_t child = forked(say_and_lock, ends[1]);
  char byte = 0;
  if (read(ends[0], &byte, 1) != 1) give_up("read", errno);
  close(ends[0]);
  close(ends[1]);
  return is_stuck(child, milliseconds);
}

void execute(int) {
  char name[] = "true";
  char* words[] = {name, nullptr};
  execvp(name, words);
  _exit(1);
}

int spawned() {
  char name[] = "true";
  char* words[] = {name, nullptr};
  pid_t child = 0;
  must(posix_spawnp(&child, name, nullptr, nullptr, words, environ), "posix_spawn");
  return is_stuck(child, patient_milliseconds);
}

// Status 1 when a second kernel thread is there, 2 when another thread of ours goes on.
void look_for_threads(int) {
  int kernel_threads = 0;
  DIR* const folder = opendir("/proc/self/task");
  while (const dirent* each = readdir(folder)) kernel_threads += each->d_name[0] != '.';
  const std::uint64_t before = ticks.load(base::seq_cst);
  for (int turn = 0; turn < 20; ++turn) {
    usleep(1000);
    sched_yield();
  }
  _exit((kernel_threads != 1) + (ticks.load(base::seq_cst) != before ? 2 : 0));
}

void use_library(int) {
  for (int size = 16; size < 65536; size *= 2) {
    char* const text = static_cast<char*>(std::malloc(static_cast<std::size_t>(size)));
    if (text == nullptr) _exit(1);
    std::snprintf(text, static_cast<std::size_t>(size), "%d", size);
    std::free(text);
  }
  join(start(nothing, nullptr));
}

void before_fork() { pthread_mutex_lock(&guarded); }
void after_fork() { pthread_mutex_unlock(&guarded); }

}  // namespace

void try_forks(long stuck_milliseconds) {
  pthread_t holder = start(hold_lock, nullptr);
  while (!is_held.load(base::seq_cst)) usleep(1000);
  const int plain = lock_in_child(stuck_milliseconds);
  const int executed = is_stuck(forked(execute), patient_milliseconds);
  const int spawn = spawned();
  may_release.store(true, base::seq_cst);
  join(holder);
  dprintf(3, "{\"plain\": %d, \"executed\": %d, \"spawned\": %d}\n", plain, executed, spawn);

  pthread_t busy[5];
  for (int index = 0; index < 5; ++index) {
    busy[index] = start(index < 1 ? tick : index < 3 ? use_malloc : make_threads, nullptr);
  }
  const pid_t looker = forked(look_for_threads);
  int status = 0;
  if (waitpid(looker, &status, 0) != looker || !WIFEXITED(status)) give_up("waitpid", errno);
  constexpr int library_forks = 40;
  int torn = 0;
  for (int turn = 0; turn < library_forks; ++turn) {
    torn += is_stuck(forked(use_library), patient_milliseconds);
  }
  over.store(true, base::seq_cst);
  for (const pthread_t each : busy) join(each);
  dprintf(3, "{\"extra_threads\": %d, \"torn\": %d, \"library_forks\": %d}\n",
          WEXITSTATUS(status) == 0 ? 0 : 1, torn, library_forks);

  must(pthread_atfork(before_fork, after_fork, after_fork), "pthread_atfork");
  is_held.store(false, base::seq_cst);
  may_release.store(false, base::seq_cst);
  holder = start(hold_lock, nullptr);
  while (!is_held.load(base::seq_cst)) usleep(1000);
  may_release.store(true, base::seq_cst);  // the fork waits for it
  const int handlers = lock_in_child(patient_milliseconds);
  join(holder);
  dprintf(3, "{\"handlers\": %d}\n", handlers);
}

}  // namespace treadle::lab::pthread_program
