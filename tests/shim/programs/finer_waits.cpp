// epoll_pwait2(): while a thread waits in it others run, also where there is one worker, and one of
// them ends its wait.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

#include "tests/shim/programs/check.hpp"

namespace {

int ends[2];
int set_of_descriptors;
pthread_t first;
volatile sig_atomic_t handled = 0;

using wait_function = int (*)(const timespec* span, const sigset_t* mask);

epoll_event found;

int wait_by_name(const timespec* span, const sigset_t* mask) {
  return epoll_pwait2(set_of_descriptors, &found, 1, span, mask);
}
int wait_by_number(const timespec* span, const sigset_t* mask) {
  return static_cast<int>(syscall(SYS_epoll_pwait2, set_of_descriptors, &found, 1, span, mask, 8));
}

void* write_one(void*) {
  CHECK(write(ends[1], "x", 1) == 1);
  return nullptr;
}

void* send_signal(void*) {
  CHECK(pthread_kill(first, SIGUSR1) == 0);
  return nullptr;
}

void be_told(wait_function wait) {
  constexpr timespec hour{3600, 0};
  for (const timespec* span : {static_cast<const timespec*>(nullptr), &hour}) {
    const pthread_t other = start(write_one);
    char byte;
    CHECK(wait(span, nullptr) == 1 && found.events == EPOLLIN);
    CHECK(wait(span, nullptr) == 1);
    CHECK(read(ends[0], &byte, 1) == 1);
    join(other);
  }
}

void come_to_the_end(wait_function wait) {
  constexpr timespec none{0, 0};
  constexpr timespec little{0, 300'000};
  CHECK(wait(&none, nullptr) == 0);
  timespec before;
  timespec after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  CHECK(wait(&little, nullptr) == 0);
  clock_gettime(CLOCK_MONOTONIC, &after);
  const long span =
      (after.tv_sec - before.tv_sec) * 1'000'000'000 + (after.tv_nsec - before.tv_nsec);
  CHECK(span >= little.tv_nsec);
}

// Opened to the signal for as long as it waits.
void be_interrupted(wait_function wait) {
  sigset_t none;
  sigemptyset(&none);
  const pthread_t other = start(send_signal);
  CHECK(wait(nullptr, &none) == -1 && errno == EINTR && handled == 1);
  handled = 0;
  join(other);
}

void be_wrong() {
  const auto try_it = [](const void* span, const void* mask, long size) {
    return syscall(SYS_epoll_pwait2, set_of_descriptors, &found, 1, span, mask, size);
  };
  auto* const nowhere = reinterpret_cast<const void*>(8);
  constexpr timespec too_fine{0, 1'000'000'000};
  constexpr timespec none{0, 0};
  CHECK(try_it(nowhere, nullptr, 8) == -1 && errno == EFAULT);
  CHECK(try_it(&too_fine, nullptr, 8) == -1 && errno == EINVAL);
  CHECK(try_it(&none, nowhere, 8) == -1 && errno == EFAULT);
  CHECK(try_it(&none, &found, 7) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_epoll_pwait2, ends[0], &found, 1, &none, nullptr, 8) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_epoll_pwait2, -1, &found, 1, nullptr, nullptr, 8) == -1 && errno == EBADF);
}

}  // namespace

int main() {
  first = pthread_self();
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &ours, nullptr) == 0);
  struct sigaction action = {};
  action.sa_handler = [](int) { handled = 1; };
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  CHECK(pipe(ends) == 0);
  set_of_descriptors = epoll_create1(0);
  epoll_event wanted{EPOLLIN, {}};
  CHECK(epoll_ctl(set_of_descriptors, EPOLL_CTL_ADD, ends[0], &wanted) == 0);
  for (const wait_function wait : {wait_by_name, wait_by_number}) {
    be_told(wait);
    come_to_the_end(wait);
    be_interrupted(wait);
  }
  be_wrong();
  done("waited as long as asked");
  return 0;
}
