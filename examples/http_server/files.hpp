// Static files below one directory: a path from the network never leads out of it.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <treadle/io.hpp>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace http {

// "/a%20b" -> "a b". Nothing for what is no plain path below the root.
inline std::optional<std::string> decode_path(std::string_view target) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    char c = target[i];
    if (c == '%') {
      if (i + 2 >= target.size()) return std::nullopt;
      const int high = digit(target[i + 1]);
      const int low = digit(target[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    path += c;
  }
  if (path.empty() || path.front() != '/') return std::nullopt;
  for (std::string_view rest = path; !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find('/'));
    if (part == "..") return std::nullopt;
    rest.remove_prefix(part.size());
  }
  const std::size_t start = path.find_first_not_of('/');
  if (start == std::string::npos) return std::nullopt;
  return path.substr(start);
}

class open_file {
 public:
  open_file() = default;
  explicit open_file(int descriptor) : descriptor_(descriptor) {}
  open_file(open_file&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  open_file& operator=(open_file&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~open_file() {
    if (descriptor_ >= 0) treadle::io::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

class file_root {
 public:
  file_root() = default;
  explicit file_root(const std::string& path)
      : directory_(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (!directory_) throw std::system_error(errno, std::generic_category(), path);
  }

  // A regular file below the root, or nothing. Symbolic links that lead out are refused by the
  // kernel; where it cannot (before Linux 5.6), all links in the last place are.
  open_file open(std::string_view target, std::uint64_t& bytes) const {
    if (!directory_) return {};
    const std::optional<std::string> path = decode_path(target);
    if (!path) return {};
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    long number = ::syscall(SYS_openat2, directory_.descriptor(), path->c_str(), &how, sizeof(how));
    if (number < 0 && errno == ENOSYS) {
      number = ::openat(directory_.descriptor(), path->c_str(),
                        O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    }
    open_file file(static_cast<int>(number));
    struct stat about {};
    if (!file || ::fstat(file.descriptor(), &about) != 0 || !S_ISREG(about.st_mode)) return {};
    bytes = static_cast<std::uint64_t>(about.st_size);
    return file;
  }

 private:
  open_file directory_;
};

inline std::string_view type_of(std::string_view path) {
  const auto ends = [&](std::string_view suffix) {
    return path.size() >= suffix.size() && path.substr(path.size() - suffix.size()) == suffix;
  };
  if (ends(".html")) return "text/html";
  if (ends(".css")) return "text/css";
  if (ends(".js")) return "text/javascript";
  if (ends(".json")) return "application/json";
  if (ends(".png")) return "image/png";
  if (ends(".txt")) return "text/plain";
  return "application/octet-stream";
}

}  // namespace http
