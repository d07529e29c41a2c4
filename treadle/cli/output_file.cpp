#include "treadle/cli/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "treadle/cli/complaint.hpp"

namespace treadle::cli {

output_file::output_file(const std::string& option, std::string path) : path_(std::move(path)) {
  number_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (number_ < 0) {
    throw std::invalid_argument(complaint(
        option, path_, fmt::format("files that can be written ({})", std::strerror(errno))));
  }
}

output_file::~output_file() { ::close(number_); }

void output_file::write(const std::string& text) {
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

}  // namespace treadle::cli
