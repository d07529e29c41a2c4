#include "treadle/cli/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace treadle::cli {

void fill_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // It gets the lowest number that is free: this one. Where there is no /dev/null, the root
    // folder can be neither read nor written this way, and keeps the place.
    if (::open("/dev/null", O_RDWR | O_CLOEXEC) < 0) (void)::open("/", O_PATH | O_CLOEXEC);
  }
}

}  // namespace treadle::cli
