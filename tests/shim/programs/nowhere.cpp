// Calls that name memory which is not there, or is not all there: EFAULT, and whatever else the
// kernel says. The program's own faults stay its own.
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "tests/shim/programs/check.hpp"

namespace {

std::uint64_t nowhere;     // nothing is there
std::uint64_t read_only;   // zeroes
std::uint64_t at_the_end;  // four bytes are there, zeroes, and then nothing
timespec soon{0, 1'000'000};
std::uint64_t no_signals = 0;
std::uint32_t word = 0;
std::uint32_t of_nobody = 0x500000;  // beyond the kernel's numbers, PID_MAX_LIMIT
int ends[2];

void print(const char* name, long result) {
  std::printf("%s: %ld %s\n", name, result, result < 0 ? strerrorname_np(errno) : "");
}

// Each argument that is a pointer, at each place; 0 stands for the bad one.
#define WITH(bad, name, ...)           \
  do {                                 \
    const std::uint64_t B = bad;       \
    errno = 0;                         \
    print(name, syscall(__VA_ARGS__)); \
  } while (false)
#define EACH(name, ...)                        \
  WITH(nowhere, name, __VA_ARGS__);            \
  WITH(0xffff800000000000, name, __VA_ARGS__); \
  WITH(0x8000000000000000, name, __VA_ARGS__); \
  WITH(at_the_end, name, __VA_ARGS__)

void times_and_masks() {
  EACH("nanosleep", SYS_nanosleep, B, nullptr);
  EACH("clock_nanosleep", SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, B, nullptr);
  EACH("ppoll, limit", SYS_ppoll, nullptr, 0, B, nullptr, 8);
  EACH("ppoll, mask", SYS_ppoll, nullptr, 0, &soon, B, 8);
  EACH("poll", SYS_poll, B, 1, 1);
  EACH("select", SYS_select, 1, B, nullptr, nullptr, &soon);
  EACH("select, limit", SYS_select, 0, nullptr, nullptr, nullptr, B);
  WITH(read_only, "select, limit that is read", SYS_select, 0, nullptr, nullptr, nullptr, B);
  WITH(read_only, "select that is read", SYS_select, 1, B, nullptr, nullptr, &soon);
  EACH("pselect, mask", SYS_pselect6, 0, nullptr, nullptr, nullptr, &soon, B);
  const int epoll = epoll_create1(0);
  EACH("epoll_pwait, mask", SYS_epoll_pwait, epoll, &soon, 1, 1, B, 8);
  WITH(8, "epoll_pwait, size", SYS_epoll_pwait, epoll, &soon, 1, 1, &no_signals, B - 1);
  close(epoll);
  EACH("sigprocmask", SYS_rt_sigprocmask, SIG_BLOCK, B, nullptr, 8);
  EACH("sigprocmask, old", SYS_rt_sigprocmask, SIG_BLOCK, nullptr, B, 8);
  WITH(4, "sigprocmask, size", SYS_rt_sigprocmask, SIG_BLOCK, nullptr, nullptr, B);
  EACH("sigpending", SYS_rt_sigpending, B, 8);
  EACH("sigtimedwait", SYS_rt_sigtimedwait, B, nullptr, &soon, 8);
  EACH("sigtimedwait, limit", SYS_rt_sigtimedwait, &no_signals, nullptr, B, 8);
  EACH("sigsuspend", SYS_rt_sigsuspend, B, 8);
  EACH("sigaction", SYS_rt_sigaction, SIGUSR1, B, nullptr, 8);
  EACH("sigaction, old", SYS_rt_sigaction, SIGUSR1, nullptr, B, 8);
  EACH("sigaltstack", SYS_sigaltstack, B, nullptr);
  EACH("sigaltstack, old", SYS_sigaltstack, nullptr, B);
  EACH("sigqueue", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, B);
}

void threads_and_children() {
  EACH("clone3", SYS_clone3, B, 88);
  EACH("get_robust_list", SYS_get_robust_list, 0, B, B);
  EACH("getaffinity", SYS_sched_getaffinity, 0, 128, B);
  EACH("setscheduler", SYS_sched_setscheduler, 0, 0, B);
  WITH(nowhere, "getparam", SYS_sched_getparam, 0, B);
  EACH("getattr", SYS_sched_getattr, 0, B, 48, 0);
  EACH("set_name", SYS_prctl, PR_SET_NAME, B);
  EACH("get_name", SYS_prctl, PR_GET_NAME, B);
  EACH("clock_gettime", SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, B);
  EACH("timer_create", SYS_timer_create, CLOCK_MONOTONIC, B, &word);
  sigevent to_thread{};
  to_thread.sigev_notify = SIGEV_THREAD_ID;
  to_thread.sigev_signo = SIGUSR1;
  to_thread._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  WITH(nowhere, "timer_create, number", SYS_timer_create, CLOCK_MONOTONIC, &to_thread, B);
  word = 0;
  EACH("waitid", SYS_waitid, P_ALL, 0, B, WEXITED, nullptr);
  const pid_t child = fork();
  if (child == 0) _exit(3);
  siginfo_t ended;
  CHECK(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  WITH(at_the_end, "waitid of a child", SYS_waitid, P_PID, child, B, WEXITED, nullptr);
}

void futexes() {
  EACH("wait", SYS_futex, B, FUTEX_WAIT_PRIVATE, 1, nullptr);
  WITH(nowhere, "wait, shared", SYS_futex, B, FUTEX_WAIT, 1, nullptr);
  EACH("wait, limit", SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, B);
  WITH(nowhere, "wake, shared", SYS_futex, B, FUTEX_WAKE, 1);
  WITH(nowhere, "wake", SYS_futex, B, FUTEX_WAKE_PRIVATE, 1);
  WITH(0xffff800000000000, "wake", SYS_futex, B, FUTEX_WAKE_PRIVATE, 1);
  EACH("requeue", SYS_futex, B, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, &word, 7);
  EACH("wake and change", SYS_futex, &word, FUTEX_WAKE_OP_PRIVATE, 1, 1, B, 0);
  WITH(read_only, "wake and change", SYS_futex, &word, FUTEX_WAKE_OP_PRIVATE, 1, 1, B, 0);
  EACH("lock", SYS_futex, B + 4, FUTEX_LOCK_PI_PRIVATE, 0, nullptr);
  WITH(read_only, "lock", SYS_futex, B, FUTEX_LOCK_PI_PRIVATE, 0, nullptr);
  EACH("unlock", SYS_futex, B + 4, FUTEX_UNLOCK_PI_PRIVATE);
  for (const int operation : {FUTEX_LOCK_PI_PRIVATE, FUTEX_LOCK_PI}) {
    WITH(0, "lock of nobody's", SYS_futex, &of_nobody, operation, B, nullptr);
  }
  const std::uint64_t odd = reinterpret_cast<std::uint64_t>(&word) + 1;
  for (const int operation : {FUTEX_WAIT, FUTEX_WAIT_PRIVATE, FUTEX_WAKE, FUTEX_WAKE_PRIVATE,
                              FUTEX_LOCK_PI_PRIVATE, FUTEX_UNLOCK_PI_PRIVATE}) {
    WITH(odd, "between words", SYS_futex, B, operation, 1, nullptr);
  }
  WITH(odd, "requeued between words", SYS_futex, &word, FUTEX_REQUEUE_PRIVATE, 1, 1, B);
  CHECK(word == 0);
}

thread_local sigjmp_buf before_fault;
std::atomic<int> faults{0};

void on_fault(int number, siginfo_t* info, void*) {
  CHECK(number == SIGSEGV && info->si_addr == reinterpret_cast<void*>(nowhere));
  ++faults;
  siglongjmp(before_fault, 1);
}

void fault() { *reinterpret_cast<volatile int*>(nowhere) = 1; }

void fault_once() {
  if (sigsetjmp(before_fault, 1) == 0) {
    fault();
    CHECK(false);
  }
  CHECK(syscall(SYS_nanosleep, nowhere, nullptr) == -1 && errno == EFAULT);
}

void* fault_often(void*) {
  for (int i = 0; i < 50; ++i) fault_once();
  return nullptr;
}

// Ends a child, natively and not, with this signal.
template <class Act>
void ends_with(int wanted, Act act) {
  const pid_t child = fork();
  if (child == 0) {
    act();
    _exit(7);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(wanted != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == wanted
                    : WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

void own_faults() {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  CHECK(sigaction(SIGSEGV, &action, nullptr) == 0);
  pthread_t all[3];
  for (pthread_t& one : all) one = start(fault_often);
  for (const pthread_t one : all) join(one);
  CHECK(faults == 150);
  struct sigaction found {};
  CHECK(sigaction(SIGSEGV, nullptr, &found) == 0 && found.sa_sigaction == on_fault);
  ends_with(0, [] { fault_often(nullptr); });
  action.sa_flags = SA_SIGINFO | SA_RESETHAND;
  CHECK(sigaction(SIGSEGV, &action, nullptr) == 0);
  if (sigsetjmp(before_fault, 1) == 0) fault();
  CHECK(sigaction(SIGSEGV, nullptr, &found) == 0 && found.sa_handler == SIG_DFL);
  ends_with(SIGSEGV, [] { fault(); });
  signal(SIGSEGV, SIG_IGN);
  CHECK(kill(getpid(), SIGSEGV) == 0);
  ends_with(SIGSEGV, [] { fault(); });
  ends_with(0, [] { raise(SIGSEGV); });
  CHECK(syscall(SYS_nanosleep, nowhere, nullptr) == -1 && errno == EFAULT);
  done("faults of its own");
}

}  // namespace

int main(int, char** words) {
  if (words[1] != nullptr) {
    struct sigaction found {};
    CHECK(sigaction(SIGSEGV, nullptr, &found) == 0 && found.sa_handler == SIG_IGN);
    done("ignored after execve");
    return 0;
  }
  const long page = sysconf(_SC_PAGESIZE);
  // Two pages, and nothing in the second: it is kept, so that nobody else is given it.
  char* memory = static_cast<char*>(mmap(nullptr, static_cast<std::size_t>(2 * page), PROT_READ,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(memory != MAP_FAILED);
  CHECK(mprotect(memory + page, static_cast<std::size_t>(page), PROT_NONE) == 0);
  nowhere = reinterpret_cast<std::uint64_t>(memory + page);
  read_only = reinterpret_cast<std::uint64_t>(memory);
  at_the_end = nowhere - 4;
  CHECK(pipe(ends) == 0 && dup2(ends[0], 0) == 0);
  join(start([](void*) -> void* {
    times_and_masks();
    threads_and_children();
    futexes();
    return nullptr;
  }));
  own_faults();
  CHECK(execl("/nowhere/at/all", "", nullptr) == -1 && errno == ENOENT);
  CHECK(syscall(SYS_nanosleep, nowhere, nullptr) == -1 && errno == EFAULT);
  execl("/proc/self/exe", words[0], "ignored", nullptr);
  return 1;
}
