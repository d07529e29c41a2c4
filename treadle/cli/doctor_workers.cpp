// What lets workers be alone, and what tells that one is blocked.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "treadle/base/atomic.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/cli/doctor_finding.hpp"
#include "treadle/lab/file_text.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {
namespace {

constexpr std::string_view group_of_activations = "blocked workers";

struct ring_answer {
  int error = 0;  // of perf_event_open() or mmap()
  bool recorded = false;
};

// A ring of this kernel thread's own context switches, and one switch to see in it.
ring_answer probe_switch_ring() {
  perf_event_attr wanted{};
  wanted.size = sizeof(wanted);
  wanted.type = PERF_TYPE_SOFTWARE;
  wanted.config = PERF_COUNT_SW_DUMMY;
  wanted.context_switch = 1;
  wanted.sample_id_all = 1;
  wanted.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
  wanted.exclude_kernel = 1;
  wanted.exclude_hv = 1;
  const long opened = ::syscall(SYS_perf_event_open, &wanted, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (opened < 0) return {errno, false};
  const int ring = static_cast<int>(opened);
  const std::size_t bytes = 2 * base::page_bytes();
  void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
  ring_answer answer;
  if (pages == MAP_FAILED) {
    answer.error = errno;
  } else {
    // Guess: far longer than the kernel needs to switch away.
    const timespec pause{0, 200'000};
    (void)::nanosleep(&pause, nullptr);
    const auto& head = static_cast<perf_event_mmap_page*>(pages)->data_head;
    answer.recorded = __atomic_load_n(&head, __ATOMIC_ACQUIRE) != 0;  // pairs with the kernel's
    ::munmap(pages, bytes);
  }
  ::close(ring);
  return answer;
}

// In a kernel thread of its own, whose class ends with it; also whether it may be pinned.
int probe_idle_class() {
  int error = 0;
  std::thread trial([&error] {
    const sched_param none{};
    if (::sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
      error = errno;
      return;
    }
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(::sched_getcpu(), &here);
    if (::sched_setaffinity(0, sizeof(here), &here) != 0) error = errno;
  });
  trial.join();
  return error;
}

}  // namespace

finding find_solo_mode() {
  finding made{.id = "solo-mode", .group = "workers"};
  const long commands = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  const bool rseq = __rseq_size != 0;
  const bool barrier = commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) != 0;
  made.facts = {{"rseq", rseq}, {"membarrier_rseq", barrier}};
  made.found =
      fmt::format("rseq {}, membarrier for it {}", rseq ? "is registered" : "is not registered",
                  barrier ? "works" : "is missing");
  if (rseq && barrier) {
    made.uses = "a worker that is alone takes locks without the bus lock";
    return made;
  }
  made.state = standing::absent;
  made.uses = "every lock is a locked instruction, some ns more each";
  made.advice = rseq ? "let the process call membarrier(2): Linux 5.10, or the sandbox's rules"
                     : "glibc 2.35 or later without GLIBC_TUNABLES=glibc.pthread.rseq=0";
  return made;
}

// Asked of a runtime itself, with one processor.
finding find_activation() {
  finding made{.id = "activation", .group = std::string(group_of_activations)};
  const runtime own({.model = model::many_to_many, .width = 1});
  const core::activation_report& found = own.activation();
  const std::string_view level = to_string(found.level);
  const std::string_view why = found.why_not_better;
  const std::string_view why_no_preemption = found.why_not_preempting;
  made.found = fmt::format("level {}, loops without end are {}", level,
                           found.preempts ? "preempted" : "not preempted");
  made.facts = {{"level", level},
                {"why_not_better", why},
                {"preempts", found.preempts},
                {"why_not_preempting", why_no_preemption}};
  switch (found.level) {
    case activation::perf:
      made.uses = "a standby thread and a perf ring tell at once that a worker is blocked";
      break;
    case activation::proc:
      made.uses = "a standby thread and /proc tell at once that a worker is blocked";
      break;
    case activation::monitor:
      made.uses = "a monitor looks every millisecond whether a worker is blocked";
      break;
    case activation::off:
      made.uses = "only calls in a blocking_region let others run";
      break;
  }
  if (!why.empty() || !why_no_preemption.empty()) {
    made.state = found.level == activation::off ? standing::absent : standing::reduced;
    made.advice =
        fmt::format("{}{}{}; see the lines below", why,
                    why.empty() || why_no_preemption.empty() ? "" : "; ", why_no_preemption);
  }
  return made;
}

finding find_perf_ring() {
  finding made{.id = "perf-ring", .group = std::string(group_of_activations)};
  const std::string paranoid =
      lab::field_text(
          "level: " + lab::file_text("/proc/sys/kernel/perf_event_paranoid").value_or("unknown"),
          "level")
          .value_or("unknown");
  const ring_answer answer = probe_switch_ring();
  made.facts = {{"perf_event_paranoid", paranoid},
                {"error", answer.error},
                {"records_switches", answer.recorded}};
  if (answer.recorded) {
    made.found = fmt::format("context switches can be read (perf_event_paranoid = {})", paranoid);
    made.uses =
        "nothing unless TREADLE_ACTIVATION=perf asks for it, or /proc cannot be read: each switch "
        "of a CPU to or from a worker takes longer then";
    return made;
  }
  made.state = standing::absent;
  made.found =
      fmt::format("no ring of context switches ({}; perf_event_paranoid = {})",
                  answer.error != 0 ? std::strerror(answer.error) : "it stays empty", paranoid);
  made.uses = "nothing: m:n asks /proc whether a worker is blocked";
  made.advice =
      "sysctl -w kernel.perf_event_paranoid=2, and perf_event_open in the sandbox's rules";
  return made;
}

finding find_task_file() {
  finding made{.id = "proc-syscall", .group = std::string(group_of_activations)};
  const std::string path = fmt::format("/proc/self/task/{}/syscall", ::gettid());
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char text[16];
  const bool readable = file >= 0 && ::read(file, text, sizeof(text)) > 0;
  if (file >= 0) ::close(file);
  made.facts = {{"readable", readable}};
  made.found = readable ? "/proc/self/task/T/syscall can be read"
                        : "/proc/self/task/T/syscall cannot be read";
  made.uses = "m:n asks it whether a worker is blocked";
  if (readable) return made;
  made.state = standing::absent;
  made.uses =
      "m:n has the perf ring instead; without either, only calls in a blocking_region let others "
      "run";
  made.advice = "mount /proc, and build the kernel with CONFIG_HAVE_ARCH_TRACEHOOK";
  return made;
}

finding find_idle_class() {
  finding made{.id = "sched-idle", .group = std::string(group_of_activations)};
  const int error = probe_idle_class();
  made.facts = {{"allowed", error == 0}};
  if (error == 0) {
    made.found = "a kernel thread may enter SCHED_IDLE and choose its CPU";
    made.uses = "a standby thread for each processor of m:n: it runs when its worker is blocked";
    return made;
  }
  made.state = standing::absent;
  made.found =
      fmt::format("SCHED_IDLE or the choice of a CPU is refused ({})", std::strerror(error));
  made.uses = "m:n looks every few ms whether a worker is blocked";
  made.advice = "let the process call sched_setscheduler and sched_setaffinity for its own threads";
  return made;
}

}  // namespace treadle::cli
