// The tracer.
#include "treadle/lab/system_call_count.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>

#include "treadle/lab/child.hpp"

namespace treadle::lab {
namespace {

// Options of prctl(2) that do not exist: the kernel answers EINVAL, and the tracer understands.
// Sourced from nothing but chance; they spell "Tre" and a digit.
constexpr unsigned long start_mark = 0x54726531;
constexpr unsigned long end_mark = 0x54726532;

// Words that the kernel fills in for PTRACE_GET_SYSCALL_INFO at an entry; from <linux/ptrace.h>,
// which cannot be included beside <sys/ptrace.h>.
struct entry_info {
  std::uint8_t operation;
  std::uint8_t padding[3];
  std::uint32_t architecture;
  std::uint64_t instruction;
  std::uint64_t stack;
  std::uint64_t number;
  std::uint64_t arguments[6];
};
constexpr std::uint8_t operation_entry = 1;
constexpr int request_info = 0x420e;

// How the child that could not be traced says so.
constexpr int exit_not_traced = 120;

// Only calls that are safe between fork and exec of a process with several threads.
[[noreturn]] void become_probe(char* const* arguments) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(exit_not_traced);
  ::execv("/proc/self/exe", arguments);
  ::_exit(exit_not_traced);
}

class counter {
 public:
  explicit counter(pid_t child) : child_(child) {}

  // Until the child has ended; its wait status.
  int follow() {
    for (;;) {
      int status = 0;
      const pid_t stopped = ::waitpid(-1, &status, __WALL);
      if (stopped < 0 && errno == EINTR) continue;
      if (stopped < 0) throw std::system_error(errno, std::generic_category(), "waitpid");
      if (WIFSTOPPED(status)) {
        go_on(stopped, status);
      } else if (stopped == child_) {
        return status;
      }
    }
  }
  bool complete() const { return ended_; }
  const system_call_count& counts() const { return counts_; }

 private:
  void go_on(pid_t stopped, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    int deliver = 0;
    if (stopped == child_ && !configured_) {
      // The stop after exec. EXITKILL: if the tracer dies, nothing of the probe is left over.
      configured_ = true;
      const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
      if (::ptrace(PTRACE_SETOPTIONS, stopped, nullptr, options) != 0) {
        throw std::system_error(errno, std::generic_category(), "ptrace");
      }
    } else if (signal == (SIGTRAP | 0x80)) {
      look_at_call(stopped);
    } else if (event == 0 && signal != SIGSTOP && signal != SIGTRAP) {
      deliver = signal;  // the probe's own signals; a new thread's first SIGSTOP is ours
    }
    // A thread may be killed while it is stopped: then there is nothing to continue.
    (void)::ptrace(PTRACE_SYSCALL, stopped, nullptr, deliver);
  }

  void look_at_call(pid_t stopped) {
    entry_info info{};
    const auto size = reinterpret_cast<void*>(sizeof info);
    if (::ptrace(static_cast<__ptrace_request>(request_info), stopped, size, &info) <= 0) return;
    if (info.operation != operation_entry) return;
    if (info.number == SYS_prctl && info.arguments[0] == start_mark) {
      marker_ = stopped;
    } else if (info.number == SYS_prctl && info.arguments[0] == end_mark) {
      marker_ = 0;
      ended_ = true;
    } else if (marker_ != 0) {
      if (stopped == marker_) ++counts_.by_marker;
      if (info.number == SYS_futex) ++counts_.futex;
    }
  }

  pid_t child_;
  bool configured_ = false;
  bool ended_ = false;
  pid_t marker_ = 0;
  system_call_count counts_;
};

}  // namespace

system_call_count count_system_calls(std::string_view probe, const nlohmann::json& request) {
  std::string name = "treadle";
  std::string word(child_word);
  std::string argument =
      nlohmann::json{{"kind", "probe"}, {"name", probe}, {"request", request}}.dump();
  std::array<char*, 4> arguments{name.data(), word.data(), argument.data(), nullptr};
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) become_probe(arguments.data());
  counter counting(child);
  int status = 0;
  try {
    status = counting.follow();
  } catch (...) {
    ::kill(child, SIGKILL);
    throw;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == exit_not_traced) {
    throw std::system_error(EPERM, std::generic_category(), "tracing a process (ptrace)");
  }
  if (WIFSIGNALED(status)) {
    throw std::runtime_error(fmt::format("the traced process ended by signal {} ({})",
                                         WTERMSIG(status), ::strsignal(WTERMSIG(status))));
  }
  if (!counting.complete()) throw std::runtime_error("the traced process set no marks");
  return counting.counts();
}

void mark_start() { (void)::prctl(static_cast<int>(start_mark), 0, 0, 0, 0); }
void mark_end() { (void)::prctl(static_cast<int>(end_mark), 0, 0, 0, 0); }

}  // namespace treadle::lab
