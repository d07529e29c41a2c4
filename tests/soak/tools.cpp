#include "tests/soak/tools.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>

namespace soak {

std::atomic<unsigned> droughts{0};

void violate(const char* file, int line, const char* what, long number) {
  // dprintf: stdout may be locked by a hog.
  ::dprintf(STDERR_FILENO, "soak: VIOLATION at %s:%d: %s (%ld)\n", file, line, what, number);
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
