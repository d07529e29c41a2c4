// Starts a program, waits for it, and keeps what it wrote: for crashes, exit codes and settings.
//
// There is no time-out here: a child that hangs is ended with the test, by ctest's TIMEOUT.
#pragma once

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace treadle::testing_support {

struct outcome {
  int status = 0;  // as waitpid() gives it
  std::string out;
  std::string err;

  [[nodiscard]] bool exited_with(int code) const {
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
  }
  [[nodiscard]] bool killed_by(int signal) const {
    return WIFSIGNALED(status) && WTERMSIG(status) == signal;
  }
  [[nodiscard]] std::string describe() const {
    std::ostringstream text;
    if (WIFEXITED(status)) text << "exit code " << WEXITSTATUS(status);
    if (WIFSIGNALED(status)) text << "signal " << WTERMSIG(status);
    text << "\nstdout:\n" << out << "stderr:\n" << err;
    return text.str();
  }
};

struct command {
  std::string program;  // a name in the directory of test programs
  std::vector<std::string> arguments = {};
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to ours
  std::function<void()> before_exec = {};  // in the child; async-signal-safe calls only
};

// Reads both pipes until their other ends are closed.
inline void drain(std::array<int, 2> from, std::array<std::string*, 2> into) {
  std::array<pollfd, 2> waiting{pollfd{from[0], POLLIN, 0}, pollfd{from[1], POLLIN, 0}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < 2; ++i) {
      if (waiting[i].fd < 0 || waiting[i].revents == 0) continue;
      std::array<char, 4096> buffer;
      const ssize_t count = ::read(from[i], buffer.data(), buffer.size());
      if (count > 0) into[i]->append(buffer.data(), static_cast<std::size_t>(count));
      if (count == 0 || (count < 0 && errno != EINTR)) waiting[i].fd = -1;
    }
  }
}

inline outcome run(const command& what) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  outcome result;
  if (::pipe(out.data()) != 0 || ::pipe(err.data()) != 0) {
    result.err = "no pipe";
    return result;
  }
  // Built before the fork: the child may not allocate.
  const std::string path = std::string(TREADLE_TEST_PROGRAMS_DIR) + "/" + what.program;
  std::vector<char*> arguments{const_cast<char*>(path.c_str())};
  for (const std::string& a : what.arguments) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> settings;
  for (const auto& [name, value] : what.environment) settings.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& setting : settings) environment.push_back(setting.data());
  for (char** each = environ; *each != nullptr; ++each) environment.push_back(*each);
  environment.push_back(nullptr);

  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    for (const int end : {out[0], out[1], err[0], err[1]}) ::close(end);
    if (what.before_exec) what.before_exec();
    ::execve(path.c_str(), arguments.data(), environment.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  drain({out[0], err[0]}, {&result.out, &result.err});
  ::close(out[0]);
  ::close(err[0]);
  while (::waitpid(child, &result.status, 0) < 0 && errno == EINTR) {
  }
  return result;
}

inline std::size_t count_lines_with(const std::string& text, const std::string& part) {
  std::istringstream lines(text);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find(part) != std::string::npos) ++count;
  }
  return count;
}

}  // namespace treadle::testing_support
