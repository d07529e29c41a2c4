// Signals to the process while its threads begin and cease to take them: none is lost, none ends
// the program that blocks it.
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr int count = 3000;
const int number = SIGRTMIN + 4;

sigset_t only() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}

void change(int how) {
  const sigset_t set = only();
  CHECK(pthread_sigmask(how, &set, nullptr) == 0);
}

// Another process sends `count` of them, each when a byte comes, or at once where there is none.
pid_t sender(int bytes) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child != 0) return child;
  for (int i = 0; i < count; ++i) {
    char byte;
    if (bytes >= 0 && read(bytes, &byte, 1) != 1) _exit(1);
    sigval value;
    value.sival_int = i;
    while (sigqueue(parent, number, value) != 0) {
      if (errno != EAGAIN) _exit(2);
      usleep(100);
    }
  }
  _exit(0);
}

void reap(pid_t child) {
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

// They come while it takes others.
void awaited_amid_others() {
  const pid_t child = sender(-1);
  const sigset_t set = only();
  for (int i = 0; i < count; ++i) {
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == number && info.si_value.sival_int == i);
  }
  reap(child);
  done("awaited while they come");
}

// Each comes just when its thread begins to wait.
void awaited_in_turn() {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = sender(ends[0]);
  const sigset_t set = only();
  for (int i = 0; i < count; ++i) {
    CHECK(write(ends[1], "x", 1) == 1);
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == number && info.si_value.sival_int == i);
  }
  reap(child);
  close(ends[0]);
  close(ends[1]);
  done("awaited one by one");
}

// kill() with a thread's number is kill() with the process's: who takes it is another matter.
std::atomic<pid_t> named{0};
sem_t heard;
void* have_number(void*) {
  named = gettid();
  while (sem_wait(&heard) != 0) CHECK(errno == EINTR);
  return nullptr;
}

void sent_to_a_number() {
  CHECK(sem_init(&heard, 0, 0) == 0);
  const pthread_t other = start(have_number);
  while (named.load() == 0) usleep(100);
  const sigset_t set = only();
  sigval value;
  value.sival_int = 3;
  siginfo_t info;
  CHECK(kill(named, number) == 0);
  CHECK(sigwaitinfo(&set, &info) == number && info.si_code == SI_USER);
  CHECK(sigqueue(named, number, value) == 0);
  CHECK(sigwaitinfo(&set, &info) == number && info.si_value.sival_int == 3);
  sem_post(&heard);
  join(other);
  done("sent to a thread's number");
}

std::atomic<int> taken{0};
void note(int) { taken.fetch_add(1); }

std::atomic<bool> over{false};
sem_t turn[2];

// One of two lets them in at any time, and then the other.
void* alternate(void* which) {
  const long mine = as_number(which);
  while (!over.load()) {
    while (sem_wait(&turn[mine]) != 0) CHECK(errno == EINTR);
    change(SIG_UNBLOCK);
    usleep(100);
    change(SIG_BLOCK);
    sem_post(&turn[1 - mine]);
  }
  sem_post(&turn[1 - mine]);
  return nullptr;
}

void let_in_by_turns() {
  struct sigaction action = {};
  action.sa_handler = note;
  CHECK(sigaction(number, &action, nullptr) == 0);
  CHECK(sem_init(&turn[0], 0, 1) == 0 && sem_init(&turn[1], 0, 0) == 0);
  const pthread_t one = start(alternate, 0);
  const pthread_t other = start(alternate, 1);
  const pid_t child = sender(-1);
  reap(child);
  while (taken.load() != count) usleep(1000);
  over = true;
  join(one);
  join(other);
  done("let in by turns");
}

// Those who wait share them.
std::atomic<int> shared{0};
void* share(void*) {
  const sigset_t set = only();
  while (shared.fetch_add(1) < count) {
    // The kernel may wake more threads than there are signals.
    int found;
    while ((found = sigwaitinfo(&set, nullptr)) == -1 && errno == EINTR) {
    }
    CHECK(found == number);
  }
  return nullptr;
}

void awaited_by_many() {
  pthread_t all[4];
  for (pthread_t& one : all) one = start(share);
  reap(sender(-1));
  for (const pthread_t one : all) join(one);
  done("awaited by several");
}

}  // namespace

int main() {
  change(SIG_BLOCK);
  sent_to_a_number();
  awaited_amid_others();
  awaited_in_turn();
  awaited_by_many();
  let_in_by_turns();
  return 0;
}
