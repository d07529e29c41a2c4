#include "treadle/cli/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "treadle/cli/complaint.hpp"
#include "treadle/cli/exit_status.hpp"

namespace treadle::cli {

void fill_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // It gets the lowest number that is free: this one. Where there is no /dev/null, the root
    // folder can be neither read nor written this way, and keeps the place.
    if (::open("/dev/null", O_RDWR | O_CLOEXEC) < 0) (void)::open("/", O_PATH | O_CLOEXEC);
  }
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);  // the stream remembers that it failed
}

void say(const std::string& text) { std::fputs(text.c_str(), stderr); }

int end_output(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  const char* const why = errno != 0 ? std::strerror(errno) : "not all of it was written";
  print_complaint("treadle", std::string("writing standard output: ") + why);
  return status == exit_good ? exit_failed : status;
}

}  // namespace treadle::cli
