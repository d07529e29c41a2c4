#include "treadle/cli/process_reading.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "treadle/lab/file_text.hpp"

namespace treadle::cli {
namespace {

// Guess: a program that starts more processes is not looked at in full.
constexpr std::size_t processes_max = 64;
// Guess: of a process with more threads only the first one's children are looked for, as each
// thread has a file of its own.
constexpr unsigned threads_searched_max = 16;

std::string text_of(const std::string& path) { return lab::file_text(path).value_or(""); }

double field(const std::string& text, std::string_view name) {
  return static_cast<double>(lab::field_number(text, name).value_or(0));
}

// The names in a directory that are numbers.
std::vector<pid_t> numbers_in(const std::string& path) {
  std::vector<pid_t> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
  if (!folder) return found;
  while (const dirent* each = ::readdir(folder.get())) {
    if (std::isdigit(static_cast<unsigned char>(each->d_name[0])) != 0) {
      found.push_back(static_cast<pid_t>(std::atol(each->d_name)));
    }
  }
  return found;
}

void add_children(pid_t process, pid_t thread, std::vector<pid_t>& into) {
  std::istringstream words(text_of(fmt::format("/proc/{}/task/{}/children", process, thread)));
  for (pid_t child = 0; words >> child && into.size() < processes_max;) into.push_back(child);
}

constexpr double bytes_per_kilobyte = 1024;

}  // namespace

process_reading read_processes(pid_t first) {
  process_reading sum;
  std::vector<pid_t> all{first};
  for (std::size_t index = 0; index < all.size(); ++index) {
    const pid_t process = all[index];
    const std::string status = text_of(fmt::format("/proc/{}/status", process));
    const auto threads = static_cast<unsigned>(field(status, "Threads"));
    sum.kernel_threads += threads;
    sum.memory_bytes = std::max(sum.memory_bytes, field(status, "VmHWM") * bytes_per_kilobyte);
    if (threads <= 1 || threads > threads_searched_max) {
      add_children(process, process, all);
      continue;
    }
    for (const pid_t thread : numbers_in(fmt::format("/proc/{}/task", process))) {
      add_children(process, thread, all);
    }
  }
  return sum;
}

// All processes are asked for their parent: the kernel has a list of children only where it was
// built with CONFIG_PROC_CHILDREN, and this one must be complete.
std::vector<pid_t> own_children() {
  std::vector<pid_t> found;
  const pid_t self = ::getpid();
  for (const pid_t process : numbers_in("/proc")) {
    const std::string status = text_of(fmt::format("/proc/{}/status", process));
    if (static_cast<pid_t>(field(status, "PPid")) == self) found.push_back(process);
  }
  return found;
}

}  // namespace treadle::cli
