// `fail_call N ERROR PROGRAM ARGUMENTS...`: the program, of whose system calls the N-th that the
// shim makes at its start fails with that error.
//
// A tracer. What the shim makes: from its first prctl (Syscall User Dispatch) to the end of the
// patching, and from its look at /proc/self/task, with which it takes the process over, until a
// thread of the program asks for its parent (getppid), which the program does in its first thread
// and, when that has been made, in its main one. What ends a kernel thread, writes a message or
// wakes somebody, and libc's rseq, is left alone. The last line on stderr is "fail_call: " with the
// number of what was refused, or "nothing".
// Exit status: the program's own; 200 and the signal where one ends it; 99 when it makes fewer than
// N calls, 77 where nobody may trace, 98 when the program hangs (alarm).
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace {

pid_t traced = 0;
long refused_last = -1;  // what is refused, for who has to wait too long

enum class phase { before, preparing, waiting, taking_over, over };

struct tracer {
  long wanted = 0;
  long error = 0;
  long counted = 0;
  long refused = -1;  // the number of the call that was
  phase now = phase::before;
  int patched = 0;               // mprotects that made text executable
  std::map<pid_t, bool> inside;  // who is in a call, and whether that is to fail

  bool counts(const user_regs_struct& at) const {
    switch (at.orig_rax) {
      case SYS_exit:
      case SYS_exit_group:
      case SYS_write:
      case SYS_rt_sigreturn:
      case SYS_rseq:   // libc's own, without which no thread begins
      case SYS_futex:  // who is not woken waits for ever, natively too
        return false;
      default:
        return now == phase::preparing || now == phase::taking_over;
    }
  }

  bool is_look_at_tasks(pid_t who, const user_regs_struct& at) const {
    constexpr char path[] = "/proc/self/task";
    char seen[sizeof(path) + 7] = {};
    for (std::size_t i = 0; i < sizeof(path); i += sizeof(long)) {
      const long word = ptrace(PTRACE_PEEKDATA, who, at.rsi + i, nullptr);
      std::memcpy(seen + i, &word, sizeof(word));
    }
    return std::memcmp(seen, path, sizeof(path)) == 0;
  }

  // At a call's beginning. True when it is to fail.
  bool enter(pid_t who, const user_regs_struct& at) {
    const auto number = static_cast<long>(at.orig_rax);
    if (now == phase::before && number == SYS_prctl && at.rdi == 59) now = phase::preparing;
    if (now == phase::waiting && number == SYS_openat && is_look_at_tasks(who, at)) {
      now = phase::taking_over;
    }
    if (now == phase::taking_over && number == SYS_getppid) now = phase::over;
    const bool fails = counts(at) && ++counted == wanted;
    if (fails) refused_last = refused = number;
    // The second one is the last of the preparation.
    const bool makes_executable = number == SYS_mprotect && at.rdx == 5;
    if (now == phase::preparing && makes_executable && ++patched == 2) now = phase::waiting;
    return fails;
  }

  void stop(pid_t who) {
    user_regs_struct at{};
    if (ptrace(PTRACE_GETREGS, who, nullptr, &at) != 0) return;
    const auto found = inside.find(who);
    if (found == inside.end()) {
      const bool fails = enter(who, at);
      inside[who] = fails;
      if (!fails) return;
      at.orig_rax = static_cast<unsigned long long>(-1);
      ptrace(PTRACE_SETREGS, who, nullptr, &at);
      return;
    }
    if (found->second) {
      at.rax = static_cast<unsigned long long>(-error);
      ptrace(PTRACE_SETREGS, who, nullptr, &at);
    }
    inside.erase(found);
  }

  // The status of the first process. Source: ptrace(2).
  int follow(pid_t first) {
    for (;;) {
      int status = 0;
      const pid_t who = waitpid(-1, &status, __WALL);
      if (who < 0) return 1;
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        inside.erase(who);
        if (who != first) continue;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
      }
      long passed_on = 0;
      const int signal = WSTOPSIG(status);
      if (signal == (SIGTRAP | 0x80)) {
        stop(who);
      } else if (status >> 16 == 0 && signal != SIGSTOP) {
        passed_on = signal;
      } else if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8))) {
        inside[who] = false;  // its end comes next
      }
      ptrace(PTRACE_SYSCALL, who, nullptr, passed_on);
    }
  }
};

void on_alarm(int) {
  kill(traced, SIGKILL);
  std::fprintf(stderr, "fail_call: %ld\n", refused_last);
  _exit(98);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 1;
  traced = fork();
  if (traced == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
    raise(SIGSTOP);
    execvp(argv[3], argv + 3);
    std::perror("fail_call");
    _exit(1);
  }
  int status = 0;
  waitpid(traced, &status, 0);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  constexpr long options =
      PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SETOPTIONS, traced, nullptr, options) != 0) return 77;
  signal(SIGALRM, on_alarm);
  alarm(20);
  tracer all;
  all.wanted = std::atol(argv[1]);
  all.error = std::atol(argv[2]);
  ptrace(PTRACE_SYSCALL, traced, nullptr, 0);
  const int ended = all.follow(traced);
  if (all.refused < 0) {
    std::fprintf(stderr, "fail_call: nothing, of %ld\n", all.counted);
    return 99;
  }
  std::fprintf(stderr, "fail_call: %ld\n", all.refused);
  return ended;
}
