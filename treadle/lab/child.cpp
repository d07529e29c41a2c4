// Starting, reading and ending a child.
#include "treadle/lab/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "treadle/base/clock.hpp"
#include "treadle/lab/descriptor.hpp"

extern char** environ;

namespace treadle::lab {
namespace {

// Of a child's standard error, this much of the end is kept: a fatal line and a little more.
constexpr std::size_t error_bytes_max = 4096;

[[noreturn]] void fail(const char* what, int error) {
  throw std::system_error(error, std::generic_category(), what);
}

struct channel {
  descriptor reading;
  descriptor writing;
  channel() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2", errno);
    reading.reset(ends[0]);
    writing.reset(ends[1]);
  }
};

// One line. Bytes that are no UTF-8, as names of files and hosts may have, become U+FFFD.
std::string to_text(const nlohmann::json& of) {
  return of.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Every step of posix_spawn's file actions can fail for want of memory only.
class file_actions {
 public:
  file_actions() { ::posix_spawn_file_actions_init(&actions_); }
  ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }
  file_actions(const file_actions&) = delete;
  file_actions& operator=(const file_actions&) = delete;
  void duplicate(int from, int to) {
    if (const int error = ::posix_spawn_file_actions_adddup2(&actions_, from, to)) {
      fail("posix_spawn", error);
    }
  }
  void open(int number, const char* path, int flags) {
    if (const int error = ::posix_spawn_file_actions_addopen(&actions_, number, path, flags, 0)) {
      fail("posix_spawn", error);
    }
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

pid_t start(std::vector<std::string> words, int records, int errors) {
  file_actions actions;
  actions.open(STDIN_FILENO, "/dev/null", O_RDONLY);
  actions.open(STDOUT_FILENO, "/dev/null", O_WRONLY);
  actions.duplicate(errors, STDERR_FILENO);
  actions.duplicate(records, record_descriptor);
  std::vector<char*> pointers;
  for (std::string& each : words) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, "/proc/self/exe", actions.get(), nullptr, pointers.data(), environ);
  if (error != 0) fail("starting a process of the lab", error);
  return child;
}

// Whole lines of `text` go to `record`; a line that is no JSON (a child killed in the middle of
// writing) is dropped.
void take_lines(std::string& text, const on_record& record) {
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
    const nlohmann::json line = nlohmann::json::parse(text.substr(0, end), nullptr, false);
    text.erase(0, end + 1);
    if (line.is_object()) record(line);
  }
}

// False at the end of the stream.
bool read_some(descriptor& from, std::string& into) {
  std::array<char, 4096> bytes;
  const ssize_t count = ::read(from.get(), bytes.data(), bytes.size());
  if (count < 0 && errno == EINTR) return true;
  if (count <= 0) {
    from.reset();
    return false;
  }
  into.append(bytes.data(), static_cast<std::size_t>(count));
  return true;
}

// Reads both streams until the records end (true) or the deadline passes (false).
bool read_until_end(channel& records, channel& errors, base::deadline until,
                    const on_record& record, std::string& error_text) {
  std::string lines;
  for (;;) {
    const std::int64_t left = until.nanoseconds() - base::monotonic_now();
    if (left <= 0) return false;
    std::array<pollfd, 2> ready{pollfd{records.reading.get(), POLLIN, 0},
                                pollfd{errors.reading.get(), POLLIN, 0}};
    const int wait_milliseconds = static_cast<int>(left / 1'000'000) + 1;
    if (::poll(ready.data(), ready.size(), wait_milliseconds) < 0 && errno != EINTR) {
      fail("poll", errno);
    }
    if (ready[1].revents != 0 && read_some(errors.reading, error_text)) {
      if (error_text.size() > error_bytes_max) {
        error_text.erase(0, error_text.size() - error_bytes_max);
      }
    }
    if (ready[0].revents != 0) {
      const bool more = read_some(records.reading, lines);
      take_lines(lines, record);
      if (!more) return true;
    }
  }
}

std::string last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::size_t start = text.find_last_of('\n');
  return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

std::string outcome(int status, bool in_time, std::chrono::milliseconds limit,
                    std::string_view error_text) {
  std::string text;
  if (!in_time) {
    text = fmt::format("not finished after {} s and ended", limit.count() / 1000);
  } else if (WIFSIGNALED(status)) {
    text = fmt::format("ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    text = fmt::format("ended with exit status {}", WEXITSTATUS(status));
  } else {
    return text;
  }
  const std::string line = last_line(error_text);
  return line.empty() ? text : text + ": " + line;
}

}  // namespace

std::string run_child(const nlohmann::json& request, std::chrono::milliseconds limit,
                      const on_record& record) {
  return run_words({"treadle", std::string(child_word), to_text(request)}, limit, record);
}

std::string run_words(const std::vector<std::string>& words, std::chrono::milliseconds limit,
                      const on_record& record) {
  channel records;
  channel errors;
  const pid_t child = start(words, records.writing.get(), errors.writing.get());
  records.writing.reset();
  errors.writing.reset();
  std::string error_text;
  bool in_time = false;
  try {
    in_time = read_until_end(records, errors, base::deadline::after(limit), record, error_text);
  } catch (...) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw;
  }
  // At the end of its records the child has only to exit; past the deadline it is made to.
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid", errno);
  }
  // What it said last (an abort message) may still be in the pipe; the writer is gone, so this ends
  // unless a grandchild lives on, and then it is one buffer.
  if (errors.reading.get() >= 0 && ::fcntl(errors.reading.get(), F_SETFL, O_NONBLOCK) == 0) {
    while (error_text.size() < 2 * error_bytes_max && read_some(errors.reading, error_text)) {
    }
  }
  return outcome(status, in_time, limit, error_text);
}

void write_record(const nlohmann::json& record) {
  const std::string line = to_text(record) + "\n";
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = ::write(record_descriptor, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("writing a record", errno);
    written += static_cast<std::size_t>(count);
  }
}

void follow_parent() {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have gone before the call; then init or a subreaper has taken its place, and the
  // pipe has no reader: the first record fails. SIGPIPE would hide that behind a signal.
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace treadle::lab
