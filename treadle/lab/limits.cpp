// Limits from /proc, getrlimit and both versions of cgroups.
#include "treadle/lab/limits.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <sstream>
#include <string_view>

#include "treadle/lab/file_text.hpp"
#include "treadle/lab/human.hpp"

namespace treadle::lab {
namespace {

// Threads of others that may start while we run: guess, a busy desktop starts fewer in a minute.
constexpr std::uint64_t threads_spared = 512;

// The path of this process in the hierarchy of `controller` (version 1), or in the one hierarchy of
// version 2 when `controller` is empty. Lines read "9:pids:/a/b" and "0::/a/b".
std::optional<std::string> cgroup_path(std::string_view controller) {
  const std::optional<std::string> text = file_text("/proc/self/cgroup");
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names == "," + std::string(controller) + "," ||
        (!controller.empty() && names.find("," + std::string(controller) + ",") != names.npos)) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

struct cgroup_room {
  double left = std::numeric_limits<double>::infinity();
  double limit = 0;
};

// The least room in the group at `path` under `root` and in all groups above it. In a container the
// path may name a group that is not mounted: then the mounted root is the container's own.
void narrow(cgroup_room& room, const std::string& root, std::string path, const char* limit_file,
            const char* used_file) {
  for (;;) {
    const std::string directory = root + (path == "/" ? "" : path);
    const std::optional<std::uint64_t> limit = file_number(directory + "/" + limit_file);
    const std::optional<std::uint64_t> used = file_number(directory + "/" + used_file);
    if (limit && used) {
      const double left = std::max(0.0, static_cast<double>(*limit) - static_cast<double>(*used));
      if (left < room.left) room = {left, static_cast<double>(*limit)};
    }
    const std::size_t last = path.find_last_of('/');
    if (path.size() < 2 || last == std::string::npos) return;
    path.resize(last);
  }
}

cgroup_room group_room(const char* controller, const char* limit_1, const char* used_1,
                       const char* limit_2, const char* used_2) {
  cgroup_room room;
  if (const std::optional<std::string> path = cgroup_path("")) {
    narrow(room, "/sys/fs/cgroup", *path, limit_2, used_2);
  }
  if (const std::optional<std::string> path = cgroup_path(controller)) {
    narrow(room, std::string("/sys/fs/cgroup/") + controller, *path, limit_1, used_1);
  }
  return room;
}

// "3/412 12345" in /proc/loadavg: 412 kernel threads exist.
std::uint64_t threads_existing() {
  const std::string text = file_text("/proc/loadavg").value_or("");
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return 0;
  return std::strtoull(text.c_str() + slash + 1, nullptr, 10);
}

}  // namespace

double memory_available() {
  double least = std::numeric_limits<double>::infinity();
  if (const std::optional<std::string> text = file_text("/proc/meminfo")) {
    if (const auto kibibytes = field_number(*text, "MemAvailable")) {
      least = static_cast<double>(*kibibytes) * 1024;
    }
  }
  least = std::min(least, group_room("memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                     "memory.max", "memory.current")
                              .left);
  rlimit address_space{};
  if (::getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY) {
    least = std::min(least, static_cast<double>(address_space.rlim_cur));
  }
  return least;
}

thread_room kernel_thread_room() {
  thread_room room{std::numeric_limits<std::uint64_t>::max(), "no limit"};
  const std::uint64_t existing = threads_existing() + threads_spared;
  const auto tighten = [&room](std::uint64_t limit, std::uint64_t used, std::string name) {
    const std::uint64_t left = limit > used ? limit - used : 0;
    if (left < room.threads) room = {left, std::move(name)};
  };
  for (const char* name : {"pid_max", "threads-max"}) {
    if (const auto limit = file_number(std::string("/proc/sys/kernel/") + name)) {
      tighten(*limit, existing, fmt::format("kernel.{} = {}", name, *limit));
    }
  }
  rlimit processes{};
  // Root is not held to RLIMIT_NPROC (with CAP_SYS_RESOURCE, setrlimit(2)).
  if (::geteuid() != 0 && ::getrlimit(RLIMIT_NPROC, &processes) == 0 &&
      processes.rlim_cur != RLIM_INFINITY) {
    tighten(processes.rlim_cur, existing, fmt::format("RLIMIT_NPROC = {}", processes.rlim_cur));
  }
  const cgroup_room pids =
      group_room("pids", "pids.max", "pids.current", "pids.max", "pids.current");
  if (pids.left < static_cast<double>(room.threads)) {
    room = {static_cast<std::uint64_t>(pids.left),
            fmt::format("cgroup pids.max = {:.0f}", pids.limit)};
  }
  return room;
}

std::optional<std::string> why_no_kernel_threads(std::uint64_t threads) {
  const thread_room room = kernel_thread_room();
  if (threads <= room.threads) return std::nullopt;
  return fmt::format("{} kernel threads are more than {} leaves ({} now)",
                     human(static_cast<double>(threads), ""), room.limit,
                     human(static_cast<double>(room.threads), ""));
}

std::optional<std::string> why_no_memory(double bytes) {
  const double available = memory_available();
  // A third to spare: an estimate that is a little low must not end in the out-of-memory killer.
  if (bytes * 4 / 3 <= available) return std::nullopt;
  return fmt::format("needs about {}, and {} of memory are available", human(bytes, "B"),
                     human(available, "B"));
}

}  // namespace treadle::lab
