#include "treadle/cli/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "treadle/cli/complaint.hpp"

namespace treadle::cli {

output_file::output_file(const std::string& option, std::string path) : path_(std::move(path)) {
  number_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  // Where it cannot go again it stays, as an empty one.
  if (number_ >= 0 && ::unlink(path_.c_str()) == 0) {
    ::close(std::exchange(number_, -1));
    return;
  }
  if (number_ < 0) number_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (number_ < 0) {
    throw std::invalid_argument(complaint(
        option, path_, fmt::format("files that can be written ({})", std::strerror(errno))));
  }
}

output_file::~output_file() {
  if (number_ >= 0) ::close(number_);
}

void output_file::write(const std::string& text) {
  if (number_ < 0) number_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (number_ < 0) fail();
  // A pipe or a device has no length to cut.
  if (::ftruncate(number_, 0) != 0 && errno != EINVAL) fail();
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(number_, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail();
    done += static_cast<std::size_t>(count);
  }
}

void output_file::fail() const {
  throw std::runtime_error(fmt::format("writing {}: {}", path_, std::strerror(errno)));
}

bool output_file::is_same_as(const output_file& other) const {
  if (number_ < 0 && other.number_ < 0) {
    return std::filesystem::weakly_canonical(path_) ==
           std::filesystem::weakly_canonical(other.path_);
  }
  struct stat mine {};
  struct stat others {};
  return ::fstat(number_, &mine) == 0 && ::fstat(other.number_, &others) == 0 &&
         S_ISREG(mine.st_mode) && mine.st_dev == others.st_dev && mine.st_ino == others.st_ino;
}

void refuse_one_file_for_two(const std::optional<output_file>& json,
                             const std::optional<output_file>& report) {
  if (!json || !report || !json->is_same_as(*report)) return;
  throw std::invalid_argument(
      complaint("--report", report->path(), "other files than that of --json"));
}

std::string json_text(const nlohmann::json& of) {
  return of.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace treadle::cli
