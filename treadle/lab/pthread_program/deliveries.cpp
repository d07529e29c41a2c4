// Which thread handles a signal: sent to the process, to a thread, or made by a fault.
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/pthread_program/parts.hpp"

namespace treadle::lab::pthread_program {
namespace {

constexpr int threads = 8;
constexpr int nobody = -1;

thread_local int own_index = nobody;
thread_local sigjmp_buf after_fault;

// The default order, seq_cst: signals and threads of all kinds; nothing here is timed.
base::atomic<int> handled_by[threads];  // signals
base::atomic<int> handled_by_others{0};
base::atomic<int> handled{0};
base::atomic<int> open_one{nobody};  // the thread that does not block SIGUSR1
base::atomic<int> round{0};
base::atomic<int> arrived{0};  // threads whose masks are as this round wants them
base::atomic<bool> over{false};
int wrong_faults[threads];
char* forbidden = nullptr;

void note_signal(int) {
  const int error = errno;
  if (own_index == nobody) {
    handled_by_others.fetch_add(1, base::seq_cst);
  } else {
    handled_by[own_index].fetch_add(1, base::seq_cst);
  }
  handled.fetch_add(1, base::seq_cst);
  errno = error;
}

void leave_fault(int) { siglongjmp(after_fault, own_index + 1); }

void block(bool blocks) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  must(pthread_sigmask(blocks ? SIG_BLOCK : SIG_UNBLOCK, &set, nullptr), "pthread_sigmask");
}

void* follow_rounds(void* argument) {
  own_index = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
  for (int seen = 0; !over.load(base::seq_cst); sched_yield()) {
    const int now = round.load(base::seq_cst);
    if (now == seen) continue;
    seen = now;
    block(open_one.load(base::seq_cst) != own_index);
    arrived.fetch_add(1, base::seq_cst);
  }
  return nullptr;
}

// True when the handler ran on another thread.
[[gnu::noinline]] bool fault_goes_elsewhere() {
  const int by = sigsetjmp(after_fault, 1);
  if (by == 0) *static_cast<volatile char*>(forbidden) = 1;
  return by != own_index + 1;
}

void* fault_again_and_again(void* argument) {
  own_index = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
  constexpr int faults = 20;
  for (int fault = 0; fault < faults; ++fault) {
    if (fault_goes_elsewhere()) ++wrong_faults[own_index];
    sched_yield();
  }
  return nullptr;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  must(sigaction(signal, &action, nullptr), "sigaction");
}

void wait_for(const base::atomic<int>& number, int wanted) {
  while (number.load(base::seq_cst) < wanted) sched_yield();
}

// A process that signals us for each byte; begun before there are threads.
struct sender {
  int pipe_end = -1;
  pid_t process = 0;
};

sender start_sender() {
  int ends[2];
  must(pipe(ends), "pipe");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) give_up("fork", errno);
  if (child > 0) {
    close(ends[0]);
    return {ends[1], child};
  }
  close(ends[1]);
  for (char byte = 0; read(ends[0], &byte, 1) == 1;) kill(parent, SIGUSR1);
  _exit(0);
}

// Sends with `send` while one thread after the other is the only one to take it.
template <class Send>
void send_rounds(const char* name, long rounds, Send&& send) {
  int wrong = 0;
  const int before = handled.load(base::seq_cst);
  for (long turn = 0; turn < rounds; ++turn) {
    const int open = static_cast<int>(turn % threads);
    open_one.store(open, base::seq_cst);
    arrived.store(0, base::seq_cst);
    round.fetch_add(1, base::seq_cst);
    wait_for(arrived, threads);
    const int own_before = handled_by[open].load(base::seq_cst);
    const int all_before = handled.load(base::seq_cst);
    send(open);
    wait_for(handled, all_before + 1);
    if (handled_by[open].load(base::seq_cst) != own_before + 1) ++wrong;
  }
  dprintf(3, "{\"%s\": {\"sent\": %ld, \"handled\": %d, \"wrong\": %d}}\n", name, rounds,
          handled.load(base::seq_cst) - before, wrong);
}

}  // namespace

void count_deliveries(long rounds) {
  const sender other = start_sender();
  handle(SIGUSR1, note_signal);
  handle(SIGUSR2, note_signal);
  block(true);
  pthread_t all[threads];
  for (std::intptr_t index = 0; index < threads; ++index) {
    all[index] = start(follow_rounds, reinterpret_cast<void*>(index));
  }
  send_rounds("process", rounds, [](int) { kill(getpid(), SIGUSR1); });
  send_rounds("outside", rounds / 4 + 1, [&](int) {
    const char byte = 1;
    if (write(other.pipe_end, &byte, 1) != 1) give_up("write", errno);
  });
  send_rounds("thread", rounds, [&](int open) { must(pthread_kill(all[open], SIGUSR2), "kill"); });
  over.store(true, base::seq_cst);
  for (const pthread_t each : all) join(each);
  close(other.pipe_end);
  waitpid(other.process, nullptr, 0);

  const long page = sysconf(_SC_PAGESIZE);
  void* const memory =
      mmap(nullptr, static_cast<std::size_t>(page), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) give_up("mmap", errno);
  forbidden = static_cast<char*>(memory);
  handle(SIGSEGV, leave_fault);
  for (std::intptr_t index = 0; index < threads; ++index) {
    all[index] = start(fault_again_and_again, reinterpret_cast<void*>(index));
  }
  int wrong = 0;
  for (int index = 0; index < threads; ++index) {
    join(all[index]);
    wrong += wrong_faults[index];
  }
  dprintf(3, "{\"fault\": {\"wrong\": %d}}\n", wrong);
}

}  // namespace treadle::lab::pthread_program
