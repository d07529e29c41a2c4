// What the kernel offers for input and output: epoll, and io_uring with its operations.
#include <fmt/format.h>
#include <linux/io_uring.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "treadle/base/system_call.hpp"
#include "treadle/cli/doctor_finding.hpp"
#include "treadle/io/uring_poller.hpp"
#include "treadle/lab/file_text.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {
namespace {

struct operation {
  const char* name;
  unsigned number;
  const char* since;
};

// Sourced: enum io_uring_op of linux/io_uring.h and io_uring_enter(2); by number, because headers
// may be older than the kernel.
constexpr std::array operations{
    operation{"readv", 1, "5.1"},    operation{"writev", 2, "5.1"},
    operation{"fsync", 3, "5.1"},    operation{"poll", 6, "5.1"},
    operation{"timeout", 11, "5.4"}, operation{"accept", 13, "5.5"},
    operation{"cancel", 14, "5.5"},  operation{"connect", 16, "5.5"},
    operation{"openat", 18, "5.6"},  operation{"close", 19, "5.6"},
    operation{"statx", 21, "5.6"},   operation{"read", 22, "5.6"},
    operation{"write", 23, "5.6"},   operation{"send", 26, "5.6"},
    operation{"recv", 27, "5.6"},    operation{"splice", 30, "5.7"},
    operation{"waitid", 50, "6.5"},  operation{"futex_wait", 51, "6.7"},
};

// Sourced: linux/io_uring.h.
constexpr unsigned setup_single_issuer = 1U << 12;  // 6.0
constexpr unsigned setup_defer_taskrun = 1U << 13;  // 6.1

struct ring_answer {
  int error = 0;  // of io_uring_setup()
  unsigned features = 0;
  bool deferred = false;  // SINGLE_ISSUER with DEFER_TASKRUN
  std::vector<std::string> there;
  std::vector<std::string> missing;
};

// A ring of two entries; below zero the error.
int set_up(unsigned flags, unsigned& features) {
  if (const int error = base::injected_fault(base::faulty_call::io_uring_setup)) return -error;
  io_uring_params wanted{};
  wanted.flags = flags;
  const long ring = ::syscall(SYS_io_uring_setup, 2, &wanted);
  features = wanted.features;
  return ring >= 0 ? static_cast<int>(ring) : -errno;
}

void probe_operations(int ring, ring_answer& answer) {
  constexpr unsigned asked = 64;  // above every number in the table
  alignas(io_uring_probe)
      std::array<std::byte, sizeof(io_uring_probe) + asked * sizeof(io_uring_probe_op)>
          memory{};
  const long failed =
      ::syscall(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, memory.data(), asked);
  const auto* const known = reinterpret_cast<const io_uring_probe*>(memory.data());
  for (const operation& each : operations) {
    const bool there = failed == 0 && each.number < known->ops_len &&
                       (known->ops[each.number].flags & IO_URING_OP_SUPPORTED) != 0;
    (there ? answer.there : answer.missing).emplace_back(each.name);
  }
}

ring_answer probe_io_uring() {
  ring_answer answer;
  const int ring = set_up(0, answer.features);
  if (ring < 0) {
    answer.error = -ring;
    return answer;
  }
  probe_operations(ring, answer);
  ::close(ring);
  unsigned ignored = 0;
  const int deferred = set_up(setup_single_issuer | setup_defer_taskrun, ignored);
  answer.deferred = deferred >= 0;
  if (deferred >= 0) ::close(deferred);
  return answer;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string first_word(const std::string& path) {
  std::string text = lab::file_text(path).value_or("unknown");
  if (const std::size_t end = text.find('\n'); end != std::string::npos) text.resize(end);
  return text;
}

struct socket_choice {
  std::string name;
  std::string why;
};

socket_choice what_sockets_use() {
  if (resolve({}).socket_events == io::socket_events::epoll) {
    return {"edge-triggered epoll", "the default; TREADLE_IO=sockets=uring asks for io_uring"};
  }
  io::uring_poller probe(io::ring_owner::whoever_polls);
  if (const int error = probe.open()) {
    return {"edge-triggered epoll",
            fmt::format("io_uring was asked for but is refused: {}", std::strerror(error))};
  }
  return {"io_uring", "TREADLE_IO says so"};
}

}  // namespace

finding find_epoll() {
  finding made{.id = "epoll", .group = "input and output"};
  const int queue = ::epoll_create1(EPOLL_CLOEXEC);
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event wanted{};
  wanted.events = EPOLLIN | EPOLLET;
  const bool works =
      queue >= 0 && event >= 0 && ::epoll_ctl(queue, EPOLL_CTL_ADD, event, &wanted) == 0;
  const int error = works ? 0 : errno;
  if (queue >= 0) ::close(queue);
  if (event >= 0) ::close(event);
  const socket_choice sockets = what_sockets_use();
  made.facts = {{"works", works}, {"sockets", sockets.name}, {"why", sockets.why}};
  if (works) {
    made.found = "epoll and eventfd work";
    made.uses = fmt::format("{} for sockets and pipes ({})", sockets.name, sockets.why);
    return made;
  }
  made.state = standing::absent;
  made.found = fmt::format("epoll or eventfd is refused ({})", std::strerror(error));
  made.uses = "a call on a socket blocks its worker";
  made.advice = "let the process call epoll_create1, epoll_ctl and eventfd2";
  return made;
}

finding find_io_uring() {
  finding made{.id = "io-uring", .group = "input and output"};
  const std::string disabled = first_word("/proc/sys/kernel/io_uring_disabled");
  const ring_answer answer = probe_io_uring();
  made.facts = {{"io_uring_disabled", disabled}, {"error", answer.error},
                {"features", answer.features},   {"defer_taskrun", answer.deferred},
                {"operations", answer.there},    {"missing", answer.missing}};
  if (answer.error != 0) {
    made.state = standing::absent;
    made.found = fmt::format("io_uring_setup() is refused ({}; kernel.io_uring_disabled = {})",
                             std::strerror(answer.error), disabled);
    made.uses = "the blocking-call pool for files";
    made.advice = disabled == "0" || disabled == "unknown"
                      ? "let the sandbox's rules (docker: a seccomp profile) allow io_uring_setup"
                      : "sysctl -w kernel.io_uring_disabled=0";
    return made;
  }
  made.found = fmt::format("io_uring works, {} of {} operations asked for{}", answer.there.size(),
                           operations.size(), answer.deferred ? ", deferred task work" : "");
  made.uses = "io_uring for files";
  if (!answer.missing.empty()) {
    made.state = standing::reduced;
    made.found += fmt::format("; not {}", joined(answer.missing));
    made.uses += ", the blocking-call pool for what is missing";
    made.advice = "Linux 6.7 or later has all of them";
  }
  return made;
}

}  // namespace treadle::cli
