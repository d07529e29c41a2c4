#include "treadle/base/cpu_width.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace treadle::base {
namespace {

// Sourced: PATH_MAX of Linux; what is longer is left out of the search.
constexpr std::size_t path_bytes_max = 4096;
// Guess: one line for each of a dozen hierarchies, with long container names in them.
constexpr std::size_t membership_bytes_max = 8192;
// Sourced: two numbers of 20 digits and a blank.
constexpr std::size_t quota_bytes_max = 64;
// Guess: eight times the most CPUs that a Linux kernel can be built for today (8192).
constexpr std::size_t cpus_max = 65536;

// A path put together in place, always with a zero at its end.
class path_buffer {
 public:
  bool add(std::string_view part) noexcept {
    if (part.size() >= sizeof(text_) - size_) return false;
    std::memcpy(text_ + size_, part.data(), part.size());
    cut(size_ + part.size());
    return true;
  }
  void cut(std::size_t size) noexcept {
    size_ = size;
    text_[size_] = '\0';
  }
  std::size_t size() const noexcept { return size_; }
  const char* text() const noexcept { return text_; }

 private:
  char text_[path_bytes_max] = {};
  std::size_t size_ = 0;
};

// The beginning of a file, as much as fits; empty when it cannot be read.
std::string_view read_file(const char* path, char* out, std::size_t size) noexcept {
  const int kept_errno = errno;
  std::size_t filled = 0;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t some = 0;
    while (filled < size && (some = ::read(file, out + filled, size - filled)) > 0) {
      filled += static_cast<std::size_t>(some);
    }
    ::close(file);
  }
  errno = kept_errno;
  return {out, filled};
}

std::string_view take_until(std::string_view& rest, char end) noexcept {
  const std::size_t at = rest.find(end);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return part;
}

// A number above zero without anything around it; "max", "-1" and nonsense give 0.
std::uint64_t read_number(std::string_view text) noexcept {
  std::uint64_t number = 0;
  // Sourced: 18 digits always fit 64 bits; the kernel's largest quota has 14.
  if (text.empty() || text.size() > 18) return 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return 0;
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return number;
}

unsigned cpus_of(std::uint64_t quota, std::uint64_t period) noexcept {
  if (quota == 0 || period == 0) return 0;
  return static_cast<unsigned>(std::min<std::uint64_t>((quota - 1) / period + 1, cpus_max));
}

unsigned smaller_limit(unsigned one, unsigned other) noexcept {
  if (one == 0 || other == 0) return one + other;
  return std::min(one, other);
}

std::string_view read_line_in(path_buffer& folder, std::string_view name, char* out,
                              std::size_t size) noexcept {
  const std::size_t kept = folder.size();
  std::string_view line;
  if (folder.add("/") && folder.add(name)) {
    std::string_view text = read_file(folder.text(), out, size);
    line = take_until(text, '\n');
  }
  folder.cut(kept);
  return line;
}

// The quota of one control group, by either version's files.
unsigned limit_of_group(path_buffer& folder, bool version_2) noexcept {
  char first[quota_bytes_max];
  char second[quota_bytes_max];
  if (version_2) {
    std::string_view line = read_line_in(folder, "cpu.max", first, sizeof(first));
    const std::uint64_t quota = read_number(take_until(line, ' '));
    return cpus_of(quota, read_number(line));
  }
  const std::uint64_t quota =
      read_number(read_line_in(folder, "cpu.cfs_quota_us", first, sizeof(first)));
  return cpus_of(quota,
                 read_number(read_line_in(folder, "cpu.cfs_period_us", second, sizeof(second))));
}

// The smallest quota from the group up to the root of the hierarchy. Groups that are not there are
// passed over: in a container the listed path often begins outside of what is mounted.
unsigned limit_of_path(std::string_view mount_root, std::string_view hierarchy,
                       std::string_view group, bool version_2) noexcept {
  path_buffer folder;
  if (!folder.add(mount_root) || !folder.add(hierarchy)) return 0;
  const std::size_t root_size = folder.size();
  while (group.ends_with('/')) group.remove_suffix(1);
  if (!folder.add(group)) return 0;
  unsigned limit = 0;
  for (;;) {
    limit = smaller_limit(limit, limit_of_group(folder, version_2));
    if (folder.size() <= root_size) return limit;
    const std::string_view below(folder.text() + root_size, folder.size() - root_size);
    const std::size_t slash = below.rfind('/');
    folder.cut(root_size + (slash == std::string_view::npos ? 0 : slash));
  }
}

bool lists_cpu(std::string_view controllers) noexcept {
  while (!controllers.empty()) {
    if (take_until(controllers, ',') == "cpu") return true;
  }
  return false;
}

}  // namespace

unsigned cgroup_limit(std::string_view membership, std::string_view mount_root) noexcept {
  unsigned limit = 0;
  while (!membership.empty()) {
    // hierarchy-number:controllers:path, where version 2 is number 0 without controllers
    std::string_view group = take_until(membership, '\n');
    const std::string_view number = take_until(group, ':');
    const std::string_view controllers = take_until(group, ':');
    if (!group.starts_with('/')) continue;
    if (number == "0" && controllers.empty()) {
      limit = smaller_limit(limit, limit_of_path(mount_root, "", group, true));
      limit = smaller_limit(limit, limit_of_path(mount_root, "/unified", group, true));
    } else if (lists_cpu(controllers)) {
      limit = smaller_limit(limit, limit_of_path(mount_root, "/cpu", group, false));
      limit = smaller_limit(limit, limit_of_path(mount_root, "/cpu,cpuacct", group, false));
    }
  }
  return limit;
}

unsigned affinity_width() noexcept {
  unsigned long mask[cpus_max / (8 * sizeof(unsigned long))] = {};
  const int kept_errno = errno;
  // The system call itself: unlike the wrapper it takes a mask larger than the kernel's.
  const long bytes = ::syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
  errno = kept_errno;
  if (bytes <= 0) return 1;
  unsigned count = 0;
  for (const unsigned long word : mask) count += static_cast<unsigned>(std::popcount(word));
  return std::max(count, 1U);
}

unsigned usable_width() noexcept {
  char text[membership_bytes_max];
  const unsigned quota =
      cgroup_limit(read_file("/proc/self/cgroup", text, sizeof(text)), "/sys/fs/cgroup");
  return smaller_limit(affinity_width(), quota);
}

}  // namespace treadle::base
