// What limits the numbers of descriptors and of kernel threads.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdint>

#include "treadle/cli/doctor_finding.hpp"
#include "treadle/lab/file_text.hpp"
#include "treadle/lab/limits.hpp"

namespace treadle::cli {
namespace {

// Sourced: PID_MAX_LIMIT of 64-bit kernels.
constexpr std::uint64_t pid_max_limit = 4'194'304;
// Guess: more kernel threads than this nobody wants of 1:1.
constexpr std::uint64_t threads_plenty = 100'000;

std::string in_words(rlim_t limit) {
  return limit == RLIM_INFINITY ? std::string("unlimited") : fmt::format("{}", limit);
}

nlohmann::json in_json(rlim_t limit) {
  return limit == RLIM_INFINITY ? nlohmann::json(nullptr) : nlohmann::json(limit);
}

}  // namespace

finding find_descriptors() {
  finding made{.id = "descriptors", .group = "input and output"};
  rlimit files{};
  (void)::getrlimit(RLIMIT_NOFILE, &files);  // cannot fail: the argument is right
  made.found = fmt::format("RLIMIT_NOFILE is {}, and may be raised to {}", in_words(files.rlim_cur),
                           in_words(files.rlim_max));
  made.uses = "one for each connection, and a few for the runtime";
  made.facts = {{"soft", in_json(files.rlim_cur)}, {"hard", in_json(files.rlim_max)}};
  if (files.rlim_cur < files.rlim_max) {
    made.state = standing::reduced;
    made.advice = fmt::format("ulimit -n {} allows more connections", in_words(files.rlim_max));
  }
  return made;
}

finding find_threads_max() {
  finding made{.id = "threads-max", .group = "kernel threads"};
  const std::uint64_t most = lab::file_number("/proc/sys/kernel/threads-max").value_or(0);
  made.found = fmt::format("kernel.threads-max = {}", most);
  made.uses = "the most that 1:1 could make on the whole machine";
  made.facts = {{"threads_max", most}};
  if (most < threads_plenty) {
    made.state = standing::reduced;
    made.advice = fmt::format("sysctl -w kernel.threads-max={} allows 1:1 more", threads_plenty);
  }
  return made;
}

finding find_pid_max() {
  finding made{.id = "pid-max", .group = "kernel threads"};
  const std::uint64_t most = lab::file_number("/proc/sys/kernel/pid_max").value_or(0);
  made.found = fmt::format("kernel.pid_max = {}", most);
  made.uses = "each kernel thread of 1:1 takes a number below it";
  made.facts = {{"pid_max", most}};
  if (most < threads_plenty) {
    made.state = standing::reduced;
    made.advice = fmt::format("sysctl -w kernel.pid_max={} allows 1:1 more", pid_max_limit);
  }
  return made;
}

finding find_thread_room() {
  finding made{.id = "thread-room", .group = "kernel threads"};
  const lab::thread_room room = lab::kernel_thread_room();
  made.found =
      fmt::format("{} more can be made now; the tightest limit is {}", room.threads, room.limit);
  made.uses = "1:1 has a kernel thread for each thread, m:n a few for each processor";
  made.facts = {{"threads", room.threads}, {"limit", room.limit}};
  if (room.threads < threads_plenty) {
    made.state = standing::reduced;
    made.advice = fmt::format("a larger {} allows 1:1 more; m:1 and m:n need none of it",
                              room.limit.substr(0, room.limit.find(" =")));
  }
  return made;
}

}  // namespace treadle::cli
