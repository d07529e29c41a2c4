// The parent's side of child.hpp: start, collect, and tell what went wrong in one line.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "child.hpp"

namespace treadle::bench {
namespace {

// Guess: the slowest row, a million fibers of Boost.Fiber, takes about 10 s on two cores.
constexpr double child_seconds_max = 120;

struct output {
  int pipe_end;
  std::string text;
  bool open = true;
};

[[noreturn]] void become_child(const child_order& order, int out, int err) {
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  const std::string workers = std::to_string(order.workers);
  const std::string repetitions = std::to_string(order.repetitions);
  std::vector<const char*> arguments = {"treadle-bench",    "--child",       order.workload.c_str(),
                                        order.peer.c_str(), workers.c_str(), repetitions.c_str()};
  if (order.quick) arguments.push_back("--quick");
  arguments.push_back(nullptr);
  execv("/proc/self/exe", const_cast<char* const*>(arguments.data()));
  _exit(127);
}

/// Reads both pipes until they close. False when the time is up.
bool collect(std::array<output, 2>& outputs) {
  const double deadline = read_clock(CLOCK_MONOTONIC) + child_seconds_max;
  while (outputs[0].open || outputs[1].open) {
    const double left = deadline - read_clock(CLOCK_MONOTONIC);
    if (left <= 0) return false;
    std::array<pollfd, 2> ends{};
    for (std::size_t i = 0; i < 2; ++i) {
      ends[i] = {outputs[i].open ? outputs[i].pipe_end : -1, POLLIN, 0};
    }
    if (poll(ends.data(), ends.size(), static_cast<int>(left * 1000) + 1) < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (ends[i].revents == 0) continue;
      std::array<char, 4096> part{};
      const ssize_t got = read(outputs[i].pipe_end, part.data(), part.size());
      if (got > 0) {
        outputs[i].text.append(part.data(), static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        outputs[i].open = false;
      }
    }
  }
  return true;
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.find_last_of('\n') + 1);
}

std::string explain(int status, const std::string& errors) {
  const std::string said = last_line(errors);
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return fmt::format("died of {}{}{}", strsignal(number), said.empty() ? "" : ": ", said);
  }
  if (!said.empty()) return said;
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

child_result parse(const std::string& text) {
  child_result result;
  for (const auto& one : nlohmann::json::parse(text)) {
    result.repetitions.push_back({.operations = one.at("operations").get<double>(),
                                  .cpu_seconds = one.at("cpu").get<double>(),
                                  .wall_seconds = one.at("wall").get<double>(),
                                  .bytes = one.at("bytes").get<double>(),
                                  .median_late = one.at("median_late").get<double>(),
                                  .worst_late = one.at("worst_late").get<double>(),
                                  .serial_seconds = one.at("serial_seconds").get<double>(),
                                  .longest_wait = one.at("longest_wait").get<double>()});
  }
  return result;
}

}  // namespace

child_result run_child(const child_order& order) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (pipe2(out.data(), O_CLOEXEC) != 0 || pipe2(err.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) become_child(order, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  std::array<output, 2> outputs = {output{out[0], {}}, output{err[0], {}}};
  const bool in_time = collect(outputs);
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  close(out[0]);
  close(err[0]);
  if (!in_time) return {{}, fmt::format("no result after {:g} s", child_seconds_max)};
  if (status != 0) return {{}, explain(status, outputs[1].text)};
  try {
    return parse(outputs[0].text);
  } catch (const nlohmann::json::exception&) {
    return {{}, "the child printed no figures"};
  }
}

unsigned allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  }
  return static_cast<unsigned>(CPU_COUNT(&allowed));
}

}  // namespace treadle::bench
