#include "tests/soak/tools.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace soak {

std::atomic<unsigned> droughts{0};

void say(const char* format, ...) {
  char line[256];
  va_list values;
  va_start(values, format);
  const int length = std::vsnprintf(line, sizeof(line), format, values);
  va_end(values);
  const auto bytes = std::min(static_cast<std::size_t>(length), sizeof(line) - 1);
  static_cast<void>(!::write(STDERR_FILENO, line, bytes));
}

void violate(const char* file, int line, const char* what, long number) {
  say("soak: VIOLATION at %s:%d: %s (%ld)\n", file, line, what, number);
  ::_exit(1);
}

pair_of_ends make_pipe() {
  int ends[2] = {-1, -1};
  SOAK_MUST(::pipe2(ends, O_CLOEXEC));
  return {descriptor(ends[0]), descriptor(ends[1])};
}

pair_of_ends make_socket_pair() {
  int ends[2] = {-1, -1};
  SOAK_MUST(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  return {descriptor(ends[0]), descriptor(ends[1])};
}

descriptor make_file() {
  char path[] = "/var/tmp/treadle-soak-XXXXXX";
  const int made = SOAK_MUST(::mkostemp(path, O_CLOEXEC));
  ::unlink(path);
  return descriptor(made);
}

}  // namespace soak
